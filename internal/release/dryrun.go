package release

import (
	"context"
	"fmt"
	"strings"

	"abt2.dev"
)

// dryRun tells what the verb would do, from the rules themselves.
func (e *Engine) dryRun(ctx context.Context, q abt2.VerbRequest) (abt2.Outcome, error) {
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.Outcome{}, err
	}
	r := &run{request: q, actor: actor(ctx, q.By)}
	if done := e.alreadyDone(s, r); done != nil {
		done.Verb = q.Verb
		return *done, nil
	}
	before := s.Clone()
	if err := beginVerb(s, r); err != nil {
		return abt2.Outcome{}, err
	}
	if err := e.checkVerb(s, q); err != nil {
		return abt2.Outcome{}, err
	}
	steps, err := e.steps(ctx, before, s, r)
	if err != nil {
		return abt2.Outcome{}, err
	}
	steps = append(e.hookSteps(q), steps...)
	out := abt2.Outcome{Verb: q.Verb, From: before.Products[q.Product].Online, To: s.Products[q.Product].Online, Share: q.Share, Steps: steps}
	if q.Share != 0 {
		out.To = s.Session(q.Product).Preview
	}
	return out, nil
}

// steps plays the verb's rule on s and says what would follow from it.
func (e *Engine) steps(ctx context.Context, before, s *abt2.State, r *run) ([]string, error) {
	q := r.request
	var err error
	switch q.Verb {
	case abt2.VerbShip:
		var all []abt2.VersionID
		for _, t := range asked(s.Session(q.Product), q.Modules) {
			if !t.Put.IsZero() {
				all = append(all, t.Put)
			}
		}
		err = s.Shipped(q.Product, r.actor, all, nil)
	case abt2.VerbUnship:
		err = s.Unshipped(q.Product, r.actor)
	case abt2.VerbCommit:
		if q.Share != 0 {
			err = s.ShareOut(q.Product, r.actor)
		} else {
			err = s.Commit(q.Product, r.actor)
		}
	case abt2.VerbRollback:
		err = s.Rollback(q.Product, r.actor)
	case abt2.VerbClean:
		err = s.Clean(q.Product, r.actor)
	case abt2.VerbScale:
		err = s.SetScale(q.Product, r.actor, q.Scale)
	case abt2.VerbInstanceStart, abt2.VerbInstanceStop, abt2.VerbInstanceRestart:
		return e.instanceSteps(s, q)
	case abt2.VerbPark:
		err = s.Park(q.Product, r.actor)
	case abt2.VerbUnpark:
		err = s.Unpark(q.Product, r.actor)
	case abt2.VerbRefresh:
		return e.mendingSteps(ctx, s, q)
	}
	if err != nil {
		return nil, err
	}
	p, old := s.Products[q.Product], before.Products[q.Product]
	for _, id := range p.Retiring {
		s.Drained(q.Product, id)
	}
	var steps []string
	was, will := desiredVersions(before), desiredVersions(s)
	for _, v := range sortedVersions(will) {
		switch {
		case was[v] == will[v]:
		case s.Versions[v].External():
			steps = append(steps, fmt.Sprintf("check and route to %s at %s", v, strings.Join(s.Versions[v].Config.External, ", ")))
		default:
			steps = append(steps, fmt.Sprintf("run %s × %d (now %d)", v, will[v], was[v]))
		}
	}
	if step := shareStep(before, s, q.Product); step != "" {
		steps = append(steps, step)
	}
	if p.Online != old.Online {
		steps = append(steps, fmt.Sprintf("move every user from environment %d to %d", old.Online, p.Online))
	}
	switch q.Verb {
	case abt2.VerbPark:
		steps = append(steps, fmt.Sprintf("set session %d aside; what it has shipped stays up under its cookie", before.Session(q.Product).ID))
	case abt2.VerbUnpark:
		sess := s.Session(q.Product)
		steps = append(steps, fmt.Sprintf("open session %d again on environment %d", sess.ID, sess.Base))
		steps = append(steps, unparkWarnings(s, sess)...)
	}
	for _, v := range sortedVersions(was) {
		switch {
		case will[v] != 0:
		case s.Versions[v].External():
			steps = append(steps, fmt.Sprintf("let go of %s, which goes on where it runs, once no request needs it", v))
		default:
			steps = append(steps, fmt.Sprintf("stop %s once no request needs it", v))
		}
	}
	return steps, nil
}
