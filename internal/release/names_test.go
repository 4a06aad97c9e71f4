package release_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"abt2.dev"
)

// shipped is a world with order@1 in preview; commit makes it online.
func shipped(t *testing.T) (w *world, commit func()) {
	t.Helper()
	w = newWorld(t)
	by := abt2.By{Operator: "ann"}
	if _, err := w.engine.Create(t.Context(), abt2.CreateRequest{By: by, Product: abt2.DefaultProduct}); err != nil {
		t.Fatal(err)
	}
	a := artifactOf("order", "one")
	w.builds.hold(a, "one")
	put := abt2.PutRequest{By: by, Product: abt2.DefaultProduct, Init: true, Modules: []abt2.PutModule{{Module: "order", Artifact: a, File: []byte("kind=service")}}}
	if _, err := w.engine.Put(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	run := func(verb abt2.Verb) {
		if _, err := w.engine.Run(t.Context(), abt2.VerbRequest{By: by, Product: abt2.DefaultProduct, Verb: verb}, nil); err != nil {
			t.Fatal(err)
		}
	}
	run(abt2.VerbShip)
	return w, func() { run(abt2.VerbCommit) }
}

func lookup(t *testing.T, e interface {
	Lookup(context.Context, abt2.LookupRequest) (abt2.Lookup, error)
}, seen string, wait time.Duration) abt2.Lookup {
	t.Helper()
	l, err := e.Lookup(t.Context(), abt2.LookupRequest{Product: abt2.DefaultProduct, Name: "order", Seen: seen, Wait: wait})
	if err != nil {
		t.Error(err)
	}
	return l
}

// A lookup that waits is answered by the change, not by the time.
func TestLookupWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, commit := shipped(t)
		first := lookup(t, w.engine, "", time.Minute) // nothing was seen: at once
		answers := make(chan abt2.Lookup, 1)
		go func() { answers <- lookup(t, w.engine, first.Digest, 5*time.Minute) }()
		synctest.Wait()
		select {
		case l := <-answers:
			t.Fatalf("answered although nothing changed: %+v", l)
		default:
		}
		began := time.Now()
		commit()
		second := <-answers
		if second.Digest == first.Digest || len(second.Instances) != 1 || !second.Instances[0].Callable {
			t.Errorf("after commit: %+v", second)
		}
		if waited := time.Since(began); waited >= 5*time.Minute {
			t.Errorf("the answer came after %s", waited)
		}
		began = time.Now()
		if third := lookup(t, w.engine, second.Digest, time.Minute); third.Digest != second.Digest || time.Since(began) != time.Minute {
			t.Errorf("after %s: %+v", time.Since(began), third)
		}
	})
}

// Nobody is kept waiting by a server that ends, nor by a caller that left.
func TestLookupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := shipped(t)
		q := abt2.LookupRequest{Product: abt2.DefaultProduct, Name: "order", Seen: lookup(t, w.engine, "", 0).Digest, Wait: time.Minute}
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan error, 2)
		ask := func(ctx context.Context) {
			_, err := w.engine.Lookup(ctx, q)
			answers <- err
		}
		go ask(ctx)
		synctest.Wait()
		cancel()
		if err := <-answers; err != context.Canceled {
			t.Errorf("a caller that left: %v", err)
		}
		go ask(t.Context())
		synctest.Wait()
		w.stop()
		if err := <-answers; abt2.CodeOf(err) != abt2.CodeUnavailable {
			t.Errorf("a server that ends: %v", err)
		}
	})
}

func TestLookupRefusesWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := shipped(t)
		for _, wait := range []time.Duration{-1, abt2.MaxLookupWait + 1} {
			_, err := w.engine.Lookup(t.Context(), abt2.LookupRequest{Product: abt2.DefaultProduct, Name: "order", Wait: wait})
			if abt2.CodeOf(err) != abt2.CodeInvalid {
				t.Errorf("wait %s: %v", wait, err)
			}
		}
	})
}

// Load is what the instance itself reports, and of one that does not, nothing.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := shipped(t)
		preview := func() abt2.NamedInstance {
			l, err := w.engine.Lookup(t.Context(), abt2.LookupRequest{Product: abt2.DefaultProduct, Name: "order", Number: 1})
			if err != nil || len(l.Instances) != 1 {
				t.Fatalf("%+v, %v", l, err)
			}
			return l.Instances[0]
		}
		i := preview()
		if i.Load != nil {
			t.Errorf("load %d of an instance that has reported nothing", *i.Load)
		}
		w.routers.join(string(i.ID), false, false)
		w.routers.mu.Lock()
		w.routers.joined[0].status.Carried = 7
		w.routers.mu.Unlock()
		if i := preview(); i.Load == nil || *i.Load != 7 {
			t.Errorf("load %v", i.Load)
		}
	})
}
