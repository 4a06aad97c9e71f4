package carry_test

import (
	"maps"
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
