package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

// opened is a world with web shipped in an open session of ann.
func opened(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	ctx := t.Context()
	ann := abt2.By{Operator: "ann"}
	if _, err := w.engine.Create(ctx, abt2.CreateRequest{By: ann, Product: abt2.DefaultProduct}); err != nil {
		t.Fatal(err)
	}
	w.shipBuild(t, "web-a", true)
	return w
}

// shipBuild puts and ships a build of web.
func (w *world) shipBuild(t *testing.T, content string, init bool) {
	t.Helper()
	ctx := t.Context()
	ann := abt2.By{Operator: "ann"}
	a := artifactOf("web", content)
	w.builds.hold(a, content)
	kind, prefix := abt2.KindEdge, "/"
	put := abt2.PutModule{Module: "web", Artifact: a, Flags: abt2.ConfigPatch{Kind: &kind, Prefix: &prefix}}
	if _, err := w.engine.Put(ctx, abt2.PutRequest{By: ann, Product: abt2.DefaultProduct, Init: init, Modules: []abt2.PutModule{put}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.Run(ctx, w.ask(abt2.VerbShip), nil); err != nil {
		t.Fatal(err)
	}
}

func (w *world) ask(v abt2.Verb) abt2.VerbRequest {
	return abt2.VerbRequest{By: abt2.By{Operator: "ann"}, Verb: v, Product: abt2.DefaultProduct, AckTimeout: time.Minute, Yes: true}
}

type ending struct {
	out abt2.Outcome
	err error
}

// begin runs a verb beside the test and returns once it has reported the step.
func (w *world) begin(t *testing.T, ctx context.Context, q abt2.VerbRequest, step string) <-chan ending {
	t.Helper()
	reached, done := make(chan struct{}, 100), make(chan ending, 1)
	go func() {
		out, err := w.engine.Run(ctx, q, func(p abt2.Progress) {
			if p.Step == step {
				reached <- struct{}{}
			}
		})
		done <- ending{out, err}
	}()
	select {
	case <-reached:
	case e := <-done:
		t.Fatalf("%s ended before %q: %+v", q.Verb, step, e)
	}
	return done
}

func (w *world) online(t *testing.T) abt2.EnvironmentID {
	t.Helper()
	s, err := w.store.State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s.Products[abt2.DefaultProduct].Online
}

func TestParkWhileShippingIsRefused(t *testing.T) {
	w := opened(t)
	if _, err := w.engine.Run(t.Context(), w.ask(abt2.VerbUnship), nil); err != nil {
		t.Fatal(err)
	}
	w.edge.cut(true) // has the ship wait for it
	ship := w.begin(t, t.Context(), w.ask(abt2.VerbShip), "confirm")
	_, err := w.engine.Run(t.Context(), w.ask(abt2.VerbPark), nil)
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "ship by ann is at work") {
		t.Errorf("park: %v, want refused, naming what is at work", err)
	}
	w.edge.cut(false)
	if got := <-ship; got.err != nil {
		t.Error(got.err)
	}
	if _, err := w.engine.Run(t.Context(), w.ask(abt2.VerbPark), nil); err != nil {
		t.Errorf("park after it: %v", err)
	}
}

// A job that is held until commit is nothing that anybody should start meanwhile.
func TestAHeldJobIsNotMissedWhileItIsShipped(t *testing.T) {
	w := opened(t)
	a := artifactOf("report", "report-a")
	w.builds.hold(a, "report-a")
	kind := abt2.KindJob
	put := abt2.PutModule{Module: "report", Artifact: a, Flags: abt2.ConfigPatch{Kind: &kind}}
	if _, err := w.engine.Put(t.Context(), abt2.PutRequest{By: abt2.By{Operator: "ann"}, Product: abt2.DefaultProduct, Init: true, Modules: []abt2.PutModule{put}}); err != nil {
		t.Fatal(err)
	}
	w.edge.cut(true) // has the ship wait for it
	ship := w.begin(t, t.Context(), w.ask(abt2.VerbShip), "confirm")
	s, err := w.engine.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || len(s.Missing) > 0 {
		t.Errorf("missing: %v, %v; want nothing", s.Missing, err)
	}
	w.edge.cut(false)
	if got := <-ship; got.err != nil {
		t.Error(got.err)
	}
}

func TestRollbackCancelsAnUnflippedCommit(t *testing.T) {
	w := opened(t)
	w.edge.cut(true)
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "prepare")
	out, err := w.engine.Run(t.Context(), w.ask(abt2.VerbRollback), nil)
	if err != nil || !out.Same || len(out.Warnings) != 1 {
		t.Errorf("rollback: %+v, %v; want: done, with a warning that nothing had changed", out, err)
	}
	if got := <-commit; abt2.CodeOf(got.err) != abt2.CodeRefused {
		t.Errorf("the commit ended with %v, want refused", got.err)
	}
	if id := w.online(t); id != 1 {
		t.Errorf("environment %d is online, want 1: the commit had not flipped", id)
	}
}

func TestRollbackSupersedesAFlippedCommit(t *testing.T) {
	w := opened(t)
	w.edge.hold(2) // the prepared table passes, the flip is never confirmed
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "flip")
	w.edge.hold(-1)
	out, err := w.engine.Run(t.Context(), w.ask(abt2.VerbRollback), nil)
	if err != nil || out.From != 2 || out.To != 1 {
		t.Errorf("rollback: %+v, %v; want 2 → 1", out, err)
	}
	<-commit
	if id := w.online(t); id != 1 {
		t.Errorf("environment %d is online, want 1", id)
	}
}

func TestAVerbGoesOnWithoutItsCaller(t *testing.T) {
	w := opened(t)
	w.edge.cut(true)
	ctx, leave := context.WithCancel(t.Context())
	first := w.begin(t, ctx, w.ask(abt2.VerbCommit), "prepare")
	leave()
	if got := <-first; !errors.Is(got.err, context.Canceled) {
		t.Fatalf("the caller that left got %v", got.err)
	}
	second := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "prepare") // attached: told from the beginning
	w.edge.cut(false)
	if got := <-second; got.err != nil || got.out.Same || got.out.To != 2 {
		t.Errorf("the caller that attached got %+v, %v; want the commit to 2", got.out, got.err)
	}
}

func TestAnotherVerbIsRefusedMeanwhile(t *testing.T) {
	w := opened(t)
	w.edge.cut(true)
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "prepare")
	for _, v := range []abt2.Verb{abt2.VerbShip, abt2.VerbClean, abt2.VerbUnship} {
		if _, err := w.engine.Run(t.Context(), w.ask(v), nil); abt2.CodeOf(err) != abt2.CodeRefused {
			t.Errorf("%s during commit: %v, want refused", v, err)
		}
	}
	w.edge.cut(false)
	if got := <-commit; got.err != nil {
		t.Error(got.err)
	}
}

func TestACrashBeforeTheFlipChangesNothing(t *testing.T) {
	w := opened(t)
	w.edge.cut(true)
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "prepare")
	w.stop()
	if got := <-commit; abt2.CodeOf(got.err) != abt2.CodeUnavailable {
		t.Errorf("the commit ended with %v, want unavailable", got.err)
	}
	w.edge.cut(false)
	w.start(t)
	if id := w.online(t); id != 1 {
		t.Errorf("environment %d is online, want 1", id)
	}
	if out, err := w.engine.Run(t.Context(), w.ask(abt2.VerbCommit), nil); err != nil || out.To != 2 {
		t.Errorf("commit again: %+v, %v", out, err)
	}
}

func TestACrashAfterTheFlipGoesForward(t *testing.T) {
	w := opened(t)
	w.edge.hold(2)
	commit := w.begin(t, t.Context(), w.ask(abt2.VerbCommit), "flip")
	w.stop()
	<-commit
	w.edge.hold(-1)
	w.start(t)
	if out, err := w.engine.Run(t.Context(), w.ask(abt2.VerbCommit), nil); err != nil || !out.Same || out.To != 2 {
		t.Errorf("commit again: %+v, %v; want done already", out, err)
	}
	if d, err := w.engine.Validate(t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct}); err != nil || len(d) > 0 {
		t.Errorf("validate: %v, %v; want no difference", d, err)
	}
}

func TestOfTwoOperatorsOneWins(t *testing.T) {
	w := newWorld(t)
	errs := make(chan error, 2)
	for _, op := range []string{"ann", "bob"} {
		go func() {
			_, err := w.engine.Create(t.Context(), abt2.CreateRequest{By: abt2.By{Operator: op}, Product: abt2.DefaultProduct})
			errs <- err
		}()
	}
	a, b := <-errs, <-errs
	if (a == nil) == (b == nil) {
		t.Fatalf("want one winner: %v, %v", a, b)
	}
	if err := errors.Join(a, b); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("the other got %v, want refused", err)
	}
}
