package release_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
)

// hooks are a test's: one before each verb and one after it, as far as they are set.
type hooks struct {
	mu     sync.Mutex
	before func(ctx context.Context, c abt2.HookCall) error
	after  func(ctx context.Context, c abt2.HookCall) error
}

func (h *hooks) set(before, after func(context.Context, abt2.HookCall) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

func (h *hooks) get(when abt2.HookTime) func(context.Context, abt2.HookCall) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if when == abt2.HookBefore {
		return h.before
	}
	return h.after
}

func (h *hooks) Names(when abt2.HookTime, _ abt2.Verb, _ abt2.ProductName) []string {
	if h.get(when) == nil {
		return nil
	}
	return []string{"approval"}
}

func (h *hooks) Before(ctx context.Context, c abt2.HookCall, asking func(string)) error {
	asking("approval")
	return h.get(abt2.HookBefore)(ctx, c)
}

func (h *hooks) After(ctx context.Context, c abt2.HookCall) error {
	return h.get(abt2.HookAfter)(ctx, c)
}

// said lists what history has of hooks, the oldest first.
func (w *world) said(t *testing.T) []string {
	t.Helper()
	events, err := w.store.Events(context.Background(), abt2.DefaultProduct, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range events {
		if e.Verb == "hook" {
			out = append(out, fmt.Sprintf("%s %d→%d %s", e.Operator, e.From, e.To, e.Text))
		}
	}
	slices.Reverse(out)
	return out
}

// idle fails unless no verb is at work.
func (w *world) idle(t *testing.T) {
	t.Helper()
	if s, err := w.store.State(t.Context()); err != nil || s.Products[abt2.DefaultProduct].Intent != nil {
		t.Errorf("still at work: %v", err)
	}
}

func (w *world) must(t *testing.T, v abt2.Verb) {
	t.Helper()
	if _, err := w.engine.Run(t.Context(), w.ask(v), nil); err != nil {
		t.Fatalf("%s: %v", v, err)
	}
}

// hanging is a hook that answers when it is no longer waited for.
func hanging(ctx context.Context, _ abt2.HookCall) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestHookRefuses(t *testing.T) {
	w := opened(t)
	var got abt2.HookCall
	w.hooks.set(func(_ context.Context, c abt2.HookCall) error {
		got = c
		return abt2.Errorf(abt2.CodeRefused, "hook approval refuses commit:\n    not on Friday")
	}, nil)
	var steps []string
	_, err := w.engine.Run(t.Context(), w.ask(abt2.VerbCommit), func(p abt2.Progress) { steps = append(steps, p.Step) })
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "not on Friday") {
		t.Fatalf("got %v", err)
	}
	if d := cmp.Diff([]string{"hook"}, steps); d != "" { // above all, nobody has prepared
		t.Error(d)
	}
	if w.online(t) != 1 {
		t.Errorf("environment %d is online", w.online(t))
	}
	w.idle(t)
	want := abt2.HookCall{
		Format: 1, When: abt2.HookBefore, Verb: abt2.VerbCommit, Product: "default", Operator: "ann", From: 1, To: 2, Modules: []abt2.ModuleName{},
		Session: &abt2.HookSession{ID: 1, State: abt2.SessionOpen, Operator: "ann"},
		Plan:    got.Plan, Edge: "http://127.0.0.1:8080", Cookie: got.Cookie,
	}
	if d := cmp.Diff(want, got); d != "" || len(got.Plan) != 1 || got.Plan[0].To.String() != "web@1" || got.Plan[0].Size != 5 || got.Plan[0].Digest == "" || !strings.HasPrefix(got.Cookie, "abt2=") {
		t.Errorf("the hook was told %+v\n%s", got, d)
	}

	w.hooks.set(func(context.Context, abt2.HookCall) error { return nil }, nil)
	w.must(t, abt2.VerbCommit)
	w.must(t, abt2.VerbRollback)
	w.must(t, abt2.VerbShip)
	w.must(t, abt2.VerbClean)
	if d := cmp.Diff([]string{
		"ann 1→2 commit: refused: hook approval refuses commit: not on Friday",
		"ann 1→2 commit: agreed: approval",
		"ann 2→1 rollback: agreed: approval",
		"ann 1→0 ship: agreed: approval",
		"ann 2→1 clean: agreed: approval",
	}, w.said(t)); d != "" {
		t.Error(d)
	}
}

// TestHookChangesThePlan: what was agreed to is what is done, or nothing is.
func TestHookChangesThePlan(t *testing.T) {
	w := opened(t)
	ann := abt2.By{Operator: "ann"}
	w.hooks.set(func(ctx context.Context, _ abt2.HookCall) error {
		_, err := w.engine.Put(ctx, abt2.PutRequest{By: ann, Product: abt2.DefaultProduct, Init: true, Modules: []abt2.PutModule{{Module: "shop"}}})
		if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "commit by ann is at work") {
			t.Errorf("put: %v", err)
		}
		// Somebody gets past that.
		_, err = w.store.Update(ctx, func(s *abt2.State) error {
			s.Session(abt2.DefaultProduct).Targets["web"].Put.Number = 7
			return nil
		})
		return err
	}, nil)
	_, err := w.engine.Run(t.Context(), w.ask(abt2.VerbCommit), nil)
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "what commit would do has changed while its hooks were asked") {
		t.Errorf("got %v", err)
	}
	if d := cmp.Diff([]string{"ann 1→2 commit: refused: the plan changed while hooks were asked"}, w.said(t)); d != "" {
		t.Error(d)
	}
	if w.online(t) != 1 {
		t.Errorf("environment %d is online", w.online(t))
	}
	w.idle(t)
}

// TestHookHealth: an instance may end while hooks are asked.
func TestHookHealth(t *testing.T) {
	w := opened(t)
	v, _ := abt2.ParseVersionID("web@1")
	w.hooks.set(func(ctx context.Context, _ abt2.HookCall) error {
		w.platform.SetUnhealthy(v, true)
		for ctx.Err() == nil {
			s, err := w.engine.Status(ctx, abt2.DefaultProduct)
			if err != nil || len(s.Missing) > 0 {
				return err
			}
		}
		return nil
	}, nil)
	_, err := w.engine.Run(t.Context(), w.ask(abt2.VerbCommit), nil)
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "web@1 has no healthy instance") {
		t.Errorf("got %v", err)
	}
}

// TestRollbackWithoutHooks: a hook that hangs does not keep an emergency waiting.
func TestRollbackWithoutHooks(t *testing.T) {
	w := opened(t)
	w.must(t, abt2.VerbCommit)
	w.hooks.set(hanging, nil)
	waiting := w.begin(t, t.Context(), w.ask(abt2.VerbRollback), "hook")
	q := w.ask(abt2.VerbRollback)
	q.NoHooks = true
	if out, err := w.engine.Run(t.Context(), q, nil); err != nil || out.To != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if e := <-waiting; e.err != nil || e.out.To != 1 {
		t.Errorf("who waited got %+v", e)
	}

	w.hooks.set(nil, nil)
	w.must(t, abt2.VerbCommit)
	w.hooks.set(hanging, nil)
	if out, err := w.engine.Run(t.Context(), q, nil); err != nil || out.To != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if d := cmp.Diff([]string{"ann 2→1 rollback: not asked: approval (--no-hooks)", "ann 2→1 rollback: not asked: approval (--no-hooks)"}, w.said(t)); d != "" {
		t.Error(d)
	}
	q = w.ask(abt2.VerbCommit)
	q.NoHooks = true
	if _, err := w.engine.Run(t.Context(), q, nil); abt2.CodeOf(err) != abt2.CodeInvalid {
		t.Errorf("commit without hooks: %v", err)
	}
}

// TestRollbackCancelsAWaitingCommit, which its hook has not let begin.
func TestRollbackCancelsAWaitingCommit(t *testing.T) {
	w := opened(t)
	w.hooks.set(hanging, nil)
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "hook")
	out, err := w.engine.Run(t.Context(), w.ask(abt2.VerbRollback), nil)
	if err != nil || !out.Same || len(out.Warnings) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if e := <-commit; abt2.CodeOf(e.err) != abt2.CodeRefused || !strings.Contains(e.err.Error(), "superseded by rollback") {
		t.Errorf("commit: %v", e.err)
	}
	w.idle(t)
}

// TestHooksOfAServerThatEnds: the verb is dropped, and can be asked for again.
func TestHooksOfAServerThatEnds(t *testing.T) {
	w := opened(t)
	w.hooks.set(hanging, hanging)
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "hook")
	w.stop()
	if e := <-commit; abt2.CodeOf(e.err) != abt2.CodeUnavailable {
		t.Errorf("commit: %v", e.err)
	}
	w.hooks.set(nil, nil)
	w.start(t)
	w.must(t, abt2.VerbCommit)
}

func TestHooksAfter(t *testing.T) {
	w := opened(t)
	calls, answer := make(chan abt2.HookCall), make(chan error)
	w.hooks.set(nil, func(ctx context.Context, c abt2.HookCall) error {
		select {
		case calls <- c:
			return <-answer
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	w.must(t, abt2.VerbCommit) // answers before the hook does
	c := <-calls
	answer <- nil
	if c.When != abt2.HookAfter || c.From != 1 || c.To != 2 || c.Outcome == nil || !c.Outcome.OK || c.Outcome.Code != "" || c.Cookie == "" {
		t.Errorf("told %+v, %+v", c, c.Outcome)
	}
	w.must(t, abt2.VerbCommit) // done already: nobody is told

	w.hooks.set(func(context.Context, abt2.HookCall) error { return abt2.Errorf(abt2.CodeRefused, "no") }, w.hooks.get(abt2.HookAfter))
	if _, err := w.engine.Run(t.Context(), w.ask(abt2.VerbRollback), nil); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Fatal(err)
	}
	c = <-calls
	answer <- errors.New("chat is down")
	if c.Verb != abt2.VerbRollback || c.Outcome.OK || c.Outcome.Code != abt2.CodeRefused || c.Outcome.Error != "no" {
		t.Errorf("told %+v, %+v", c, c.Outcome)
	}
	w.hooks.set(nil, w.hooks.get(abt2.HookAfter))
	w.must(t, abt2.VerbClean)
	if c = <-calls; c.Verb != abt2.VerbClean || c.From != 1 || c.To != 2 || c.Cookie != "" {
		t.Errorf("told %+v", c)
	}
	answer <- nil
	w.must(t, abt2.VerbRefresh)
	w.stop() // while a hook is being told
	said := w.said(t)
	if d := cmp.Diff([]string{"ann 2→1 rollback: refused: no", "ann 2→1 rollback: not told: chat is down"}, said); d != "" {
		t.Error(d)
	}
}

func TestHooksInADryRun(t *testing.T) {
	w := opened(t)
	w.hooks.set(func(context.Context, abt2.HookCall) error { t.Error("a dry run asked"); return nil }, nil)
	q := w.ask(abt2.VerbCommit)
	q.DryRun = true
	out, err := w.engine.Run(t.Context(), q, nil)
	if err != nil || len(out.Steps) == 0 || out.Steps[0] != "ask the hook approval" {
		t.Errorf("%+v, %v", out, err)
	}
}
