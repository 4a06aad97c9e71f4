package navi_test

import (
	"testing"

	"abt2.dev/internal/driver/navi"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// registrations is how many instances of each version a switch is measured with.
const registrations = 200

// BenchmarkSwitch moves the unversioned name from 200 instances to 200 others, on
// an ensemble of three, watched as callers do. Each instance has a session of its own.
func BenchmarkSwitch(b *testing.B) {
	e := zktest.Start(b, 3)
	conn, k := client(b, e), newKeepers(b)
	r := open(b, e, k, longSession)
	one, two := stands(k, nil, 1, registrations), stands(k, nil, 2, registrations)
	revision := uint64(1)
	apply(b, r, namesOf(revision, one[0], one[1], two[0]))
	stop := watch(b, conn, orderPlace)
	fewest := registrations
	for b.Loop() {
		revision++
		if revision%2 == 0 {
			apply(b, r, namesOf(revision, one[0], two[0], two[1]))
		} else {
			apply(b, r, namesOf(revision, one[0], one[1], two[0]))
		}
	}
	for _, s := range stop() {
		fewest = min(fewest, len(s))
	}
	b.ReportMetric(float64(fewest), "fewest-listed")
	if fewest < registrations {
		b.Errorf("a caller read a list of %d", fewest)
	}
}

// BenchmarkRestart restarts the whole ensemble and measures from when it serves
// again until 200 registrations are seen to be complete.
func BenchmarkRestart(b *testing.B) {
	e := zktest.Start(b, 3)
	k := newKeepers(b)
	r := open(b, e, k, longSession)
	one := stands(k, nil, 1, registrations)
	n := namesOf(1, one...)
	apply(b, r, n)
	for b.Loop() {
		b.StopTimer()
		e.RestartAll()
		b.StartTimer()
		awaitRead(b, r, n)
	}
}

// longSession is what is used outside of tests.
func longSession(c *navi.Config) { c.ZooKeeper.SessionTimeout = zookeeper.DefaultSessionTimeout }
