package feed_test

import "testing"

// TestManyRouters is the benchmark's way with few: all of them confirm each of
// many publications, most of them by changes.
func TestManyRouters(t *testing.T) {
	s := start(t)
	s.Publish(fleetTable(1))
	s.startFleet(t, 200)
	for revision := uint64(1); revision <= 20; revision++ {
		s.Publish(fleetTable(revision))
		s.confirmed(t, fleetTable(revision).Mark)
	}
}
