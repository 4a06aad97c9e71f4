package carry_test

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"

	"abt2.dev/lane/carry"
)

func counts(t *carry.Tracker) map[uint64]uint64 {
	out := map[uint64]uint64{}
	for env, c := range t.Carried() {
		out[env] = c.GetCount()
	}
	return out
}

func TestTrackerCountsByEnvironment(t *testing.T) {
	var tr carry.Tracker
	var a, b, c carry.Request
	tr.Begin(&a, 42)
	tr.Begin(&b, 42)
	tr.Begin(&c, 43)
	if got := counts(&tr); !maps.Equal(got, map[uint64]uint64{42: 2, 43: 1}) {
		t.Errorf("got %v", got)
	}
	tr.End(&a)
	tr.End(&c)
	if got := counts(&tr); !maps.Equal(got, map[uint64]uint64{42: 1}) {
		t.Errorf("got %v", got)
	}
	tr.Begin(&a, 41) // a Request may be used again
	tr.End(&b)
	tr.End(&a)
	if got := counts(&tr); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// TestOldestSurvivesAnyOrderOfEnds ends requests in every order.
func TestOldestSurvivesAnyOrderOfEnds(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		var tr carry.Tracker
		var requests [3]carry.Request
		for i := range requests {
			tr.Begin(&requests[i], 1)
		}
		age := tr.Carried()[1].GetOldestAgeMs()
		for n, i := range order {
			tr.End(&requests[i])
			left := tr.Carried()[1]
			if int(left.GetCount()) != 2-n {
				t.Fatalf("%v: %d left after %d ends", order, left.GetCount(), n+1)
			}
			if requestZeroRuns := slices.Index(order, 0) > n; requestZeroRuns && left.GetOldestAgeMs() < age {
				t.Fatalf("%v: the oldest is %d ms old, was %d", order, left.GetOldestAgeMs(), age)
			}
		}
	}
}

func TestDrainedIsCalledOnceForWatchedEnvironments(t *testing.T) {
	var drained []uint64
	tr := carry.Tracker{Drained: func(env uint64) { drained = append(drained, env) }}
	var a, b, c carry.Request
	tr.Watch(42) // nothing carried: nothing to wait for
	tr.Begin(&a, 42)
	tr.End(&a)
	tr.Begin(&a, 42)
	tr.Begin(&b, 42)
	tr.Begin(&c, 43)
	tr.Watch(42)
	tr.End(&a)
	tr.End(&c)
	if len(drained) != 0 {
		t.Fatalf("drained %v while one is left", drained)
	}
	tr.End(&b)
	tr.Begin(&a, 42)
	tr.End(&a)
	if !slices.Equal(drained, []uint64{42}) {
		t.Errorf("drained %v", drained)
	}
}

func TestTrackerConcurrently(t *testing.T) {
	var tr carry.Tracker
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var r carry.Request
			for range 500 {
				tr.Begin(&r, uint64(i%3+1))
				tr.Carried()
				tr.End(&r)
			}
		})
	}
	wg.Wait()
	if got := counts(&tr); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestTrackerCloses(t *testing.T) {
	var tr carry.Tracker
	calls := map[string]int{}
	begin := func(name string, env uint64) *carry.Request {
		r := &carry.Request{Close: func() { calls[name]++ }}
		tr.Begin(r, env)
		return r
	}
	a, b, other := begin("a", 42), begin("b", 42), begin("other", 43)
	plain := &carry.Request{}
	tr.Begin(plain, 42)
	tr.Close(42)
	tr.Close(42) // each once
	tr.Close(41)
	if !maps.Equal(calls, map[string]int{"a": 1, "b": 1}) {
		t.Errorf("closed %v", calls)
	}
	for _, r := range []*carry.Request{a, b, plain, other} {
		tr.End(r)
	}
	tr.Begin(a, 43) // used again
	tr.Close(43)
	tr.End(a)
	if calls["a"] != 2 || calls["other"] != 0 {
		t.Errorf("closed %v", calls)
	}
}

func TestTrackerEndWaitsForClose(t *testing.T) {
	var tr carry.Tracker
	closing, release := make(chan struct{}), make(chan struct{})
	r := carry.Request{Close: func() { close(closing); <-release }}
	tr.Begin(&r, 42)
	go tr.Close(42)
	<-closing
	ended := make(chan struct{})
	go func() { tr.End(&r); close(ended) }()
	for tr.Carried()[42] != nil { // End is under way
		runtime.Gosched()
	}
	select {
	case <-ended:
		t.Error("End has returned while Close was at work")
	default:
	}
	close(release)
	<-ended
}
