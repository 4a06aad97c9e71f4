package release

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// Hooks are what operators have set to have its say before a verb, or to be
// told after it. The methods may be called from several goroutines.
type Hooks interface {
	// Names lists, in order, the hooks that stand there.
	Names(when abt2.HookTime, verb abt2.Verb, product abt2.ProductName) []string
	// Before asks those before the call's verb, one after the other, and returns
	// the refusal of the first that does not agree, an *abt2.Error. It calls
	// asking before each, from the caller's goroutine. When ctx ends it ends what
	// is at work and returns.
	Before(ctx context.Context, c abt2.HookCall, asking func(name string)) error
	// After tells those after the call's verb, and tries again for a while where
	// one fails. It returns when each has succeeded or was given up, or ctx ends.
	After(ctx context.Context, c abt2.HookCall) error
}

// errNoHooks is why hooks are not waited for: an operator does not want to.
var errNoHooks = errors.New("--no-hooks")

// hooksOf names the hooks of a verb.
func (e *Engine) hooksOf(when abt2.HookTime, q abt2.VerbRequest) []string {
	if e.Hooks == nil {
		return nil
	}
	return e.Hooks.Names(when, q.Verb, q.Product)
}

// askHooks lets the hooks before the verb agree to what s says it would do. The
// verb goes on from the state that it returns, which says the same still.
func (e *Engine) askHooks(ctx context.Context, r *run, s *abt2.State) (*abt2.State, error) {
	r.call = e.hookCall(s, r)
	names := e.hooksOf(abt2.HookBefore, r.request)
	if len(names) == 0 {
		return s, nil
	}
	refusal := context.Cause(r.asking)
	if refusal == nil {
		refusal = e.Hooks.Before(r.asking, r.call, func(name string) { r.report("", "hook", "asking %s", name) })
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	text := "agreed: " + strings.Join(names, ", ")
	switch {
	case errors.Is(context.Cause(r.asking), errNoHooks):
		text, refusal = "not asked: "+strings.Join(names, ", ")+" ("+errNoHooks.Error()+")", nil
		r.report("", "hook", "%s", text)
	case refusal != nil:
		text = "refused: " + brief(refusal)
	}
	a := r.actor
	a.Now = time.Now()
	changed := false
	s, err := e.Store.Update(ctx, func(s *abt2.State) error {
		said := text
		if changed = refusal == nil && !reflect.DeepEqual(r.call, e.hookCall(s, r)); changed {
			said = "refused: the plan changed while hooks were asked"
		}
		s.Hooked(r.call, a, said)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case refusal != nil:
		return nil, refusal
	case changed:
		return nil, abt2.Errorf(abt2.CodeRefused, "what %s would do has changed while its hooks were asked, and it was not done; look: abt2 status; then repeat the command", r.request.Verb)
	}
	return s, e.checkVerb(s, r.request) // what was healthy may be no longer
}

// tellHooks tells the hooks after the verb how it ended.
func (e *Engine) tellHooks(r *run) {
	c, ctx := r.call, e.work
	c.When, c.Outcome = abt2.HookAfter, &abt2.HookOutcome{
		OK: r.err == nil, Code: abt2.CodeOf(r.err), Switched: r.outcome.Switched, Unconfirmed: r.outcome.Unconfirmed, Warnings: r.outcome.Warnings,
	}
	if r.err != nil {
		c.Outcome.Error = r.err.Error()
	}
	if r.outcome.To != 0 {
		c.To = r.outcome.To
	}
	s, err := e.Store.State(ctx)
	if err == nil {
		c.Cookie = e.cookie(s, s.Session(c.Product))
		err = e.Hooks.After(ctx, c)
	}
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		e.Log.Warn("the server ends before every hook was told how a verb ended; they are not told any more", "verb", c.Verb, "product", c.Product)
		return
	}
	e.Log.Warn("a hook was not told how a verb ended", "verb", c.Verb, "product", c.Product, "error", err)
	a := r.actor
	a.Now = time.Now()
	if _, err := e.Store.Update(ctx, func(s *abt2.State) error { s.Hooked(c, a, "not told: "+brief(err)); return nil }); err != nil {
		e.Log.Warn("history does not say that a hook was not told", "error", err)
	}
}

// hookCall is what the verb would do, as s has it.
func (e *Engine) hookCall(s *abt2.State, r *run) abt2.HookCall {
	q := r.request
	p, sess := s.Products[q.Product], s.Session(q.Product)
	if q.Verb == abt2.VerbUnpark && sess == nil {
		sess, _ = s.FindParked(p, q.Session) // begin has found it
	}
	c := abt2.HookCall{
		Format: abt2.HookFormat, When: abt2.HookBefore, Verb: q.Verb, Product: q.Product,
		Operator: r.actor.Operator, Identity: r.actor.Identity, From: p.Online, To: p.Online,
		Modules: append([]abt2.ModuleName{}, q.Modules...), Scale: maps.Clone(q.Scale), Force: q.Force, Prune: q.Prune,
		Plan: []abt2.PlanLine{}, Edge: e.EdgeURL, Cookie: e.cookie(s, sess),
	}
	if sess == nil {
		return c
	}
	c.Session = &abt2.HookSession{ID: sess.ID, State: sess.State, Operator: sess.Operator, Description: sess.Description}
	switch q.Verb {
	case abt2.VerbShip, abt2.VerbUnship:
		c.To = 0
		c.Plan = slices.DeleteFunc(planLines(s, sess), func(l abt2.PlanLine) bool {
			return len(q.Modules) > 0 && !slices.Contains(q.Modules, l.Module)
		})
	case abt2.VerbCommit:
		c.To, c.Plan, c.Share = sess.Preview, planLines(s, sess), q.Share
	case abt2.VerbRollback:
		if c.To = p.Backup; sess.Share != 0 {
			c.From, c.To, c.Share = sess.Preview, p.Online, sess.Share
		}
		c.Plan = switchLines(s, c.From, c.To)
	case abt2.VerbClean:
		c.From = sess.Preview
		if sess.State == abt2.SessionCommitted {
			c.From = p.Backup
		}
	}
	return c
}

// switchLines lists the modules that differ between two environments.
func switchLines(s *abt2.State, from, to abt2.EnvironmentID) []abt2.PlanLine {
	was, will := s.Environments[from].Modules, s.Environments[to].Modules
	all := maps.Clone(was)
	maps.Copy(all, will)
	out := []abt2.PlanLine{}
	for _, m := range sortedModules(all) {
		if was[m] == will[m] {
			continue
		}
		line := abt2.PlanLine{Module: m, From: was[m], To: will[m], State: abt2.TargetShipped}
		if v := s.Versions[will[m]]; v != nil {
			line.Size, line.Digest = v.Artifact.Size, v.Digest
		}
		out = append(out, line)
	}
	return out
}

// brief is a line of history about an error.
func brief(err error) string {
	const most = 300
	line := []rune(strings.Join(strings.Fields(err.Error()), " "))
	if len(line) > most {
		return string(line[:most]) + " …"
	}
	return string(line)
}

// hookSteps tells a dry run which hooks would be asked.
func (e *Engine) hookSteps(q abt2.VerbRequest) []string {
	var out []string
	if !q.NoHooks {
		for _, name := range e.hooksOf(abt2.HookBefore, q) {
			out = append(out, "ask the hook "+name)
		}
	}
	return out
}
