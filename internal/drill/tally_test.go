package drill

import (
	"testing"
	"time"

	"abt2.dev"
)

const ms = time.Millisecond

// at is a request that was due, sent, and answered by the environment.
func at(due, sent, done time.Duration, env abt2.EnvironmentID) sample {
	return sample{due: due, sent: sent, done: done, verdict: verdict{judged: env != 0, environment: env}}
}

// A request belongs to a switch by when it was due, also where it is answered
// before the switch's end is known.
func TestDuringASwitch(t *testing.T) {
	tl := newTally()
	tl.add(at(1*ms, 1*ms, 2*ms, 4))
	u := &turn{verb: abt2.VerbCommit, from: 4, sent: 100 * ms}
	tl.begin(u)
	tl.add(at(99*ms, 99*ms, 130*ms, 4))   // due before
	tl.add(at(100*ms, 100*ms, 131*ms, 4)) // during
	tl.add(at(149*ms, 149*ms, 150*ms, 5)) // during
	tl.add(at(150*ms, 150*ms, 151*ms, 5)) // after: the verb still settles
	tl.end(u, func(u *turn) { u.confirmed, u.ended, u.switched = 150*ms, 900*ms, true })
	tl.add(at(149*ms, 170*ms, 950*ms, 4)) // during, sent and answered late
	tl.add(at(500*ms, 500*ms, 951*ms, 5))
	tl.settle()
	if during, outside := tl.during.TotalCount(), tl.outside.TotalCount(); during != 3 || outside != 4 {
		t.Errorf("%d during, %d outside; want 3 and 4", during, outside)
	}
	if tl.load.Stale != 1 || len(tl.complaints) != 1 {
		t.Errorf("%d stale, %q; want the one that was sent at 170 ms", tl.load.Stale, tl.complaints)
	}
	if u.lastOld != 170*ms {
		t.Errorf("the last request answered old was sent at %s, want 170 ms", u.lastOld)
	}
}

// A switch that somebody has not confirmed promises nothing, nor does one that
// changed nothing.
func TestStale(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*turn)
		want   int
	}{
		"confirmed":   {func(*turn) {}, 2},
		"repeated":    {func(u *turn) { u.outcome.Same = true }, 2},
		"unconfirmed": {func(u *turn) { u.outcome.Unconfirmed = []string{"edge e1"} }, 0},
		"aborted":     {func(u *turn) { u.switched = false }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tl := newTally()
			u := &turn{verb: abt2.VerbCommit, from: 4, sent: 100 * ms}
			tl.begin(u)
			tl.add(at(149*ms, 149*ms, 160*ms, 4))
			tl.add(at(151*ms, 151*ms, 161*ms, 4)) // the verb still settles
			tl.end(u, func(u *turn) { u.confirmed, u.ended, u.switched = 150*ms, 900*ms, true; c.change(u) })
			tl.add(at(950*ms, 950*ms, 951*ms, 4))
			tl.add(at(950*ms, 950*ms, 951*ms, 5))
			if tl.load.Stale != c.want {
				t.Errorf("%d stale, want %d: %q", tl.load.Stale, c.want, tl.complaints)
			}
		})
	}
}

// What an environment answers while it is online again is no late answer.
func TestLastOldOfEachSwitch(t *testing.T) {
	tl := newTally()
	turns := []*turn{{from: 4, sent: 100 * ms}, {from: 5, sent: 200 * ms}, {from: 4, sent: 300 * ms}}
	for i, u := range turns {
		tl.begin(u)
		tl.add(at(u.sent+5*ms, u.sent+5*ms, u.sent+6*ms, u.from))
		tl.add(at(u.sent+50*ms, u.sent+50*ms, u.sent+51*ms, 9-u.from))
		tl.end(u, func(u *turn) { u.confirmed, u.ended, u.switched = u.sent+10*ms, u.sent+20*ms, i != 1 })
	}
	p := &performance{tally: tl}
	var s abt2.DrillSwitches
	p.times(&s)
	for i, u := range turns {
		if u.lastOld != u.sent+5*ms {
			t.Errorf("switch %d: last old at %s", i, u.lastOld)
		}
	}
	if s.LastOld == nil || *s.LastOld != -5*ms || s.Calm.Count != 2 || s.Calm.Max != 10*ms {
		t.Errorf("got %+v", s)
	}
}

// A request that is still on its way when the next switch begins may belong to
// what is online after that.
func TestReceivedAfterTheNextSwitch(t *testing.T) {
	tl := newTally()
	first, back := &turn{verb: abt2.VerbCommit, from: 4, sent: 100 * ms}, &turn{verb: abt2.VerbRollback, from: 5, sent: 500 * ms}
	for _, u := range []*turn{first, back} {
		tl.begin(u)
		tl.end(u, func(u *turn) { u.confirmed, u.ended, u.switched = u.sent+10*ms, u.sent+20*ms, true })
	}
	tl.add(at(499*ms, 499*ms, 600*ms, 4))
	if tl.load.Stale != 0 || first.lastOld > first.confirmed {
		t.Errorf("%d stale, the last old one at %s: %q", tl.load.Stale, first.lastOld, tl.complaints)
	}
	tl.add(at(498*ms, 498*ms, 499*ms, 4))
	if tl.load.Stale != 1 {
		t.Errorf("%d stale, want the one that was answered before: %q", tl.load.Stale, tl.complaints)
	}
}

// Only what was on its way while an instance was killed may have been cut by it.
func TestCutByAKill(t *testing.T) {
	tl := newTally()
	cut := func(sent, done time.Duration) {
		s := at(sent, sent, done, 0)
		s.failed, s.cut = "unexpected EOF", true
		tl.add(s)
	}
	cut(10*ms, 90*ms)
	cut(10*ms, 101*ms)
	cut(104*ms, 200*ms)
	cut(111*ms, 120*ms)
	tl.killed(span{100 * ms, 110 * ms})
	tl.settle()
	if tl.load.Cut != 2 || tl.load.Failed != 2 || len(tl.complaints) != 2 {
		t.Errorf("got %+v, %q; want 2 cut and 2 failed", tl.load, tl.complaints)
	}
}

func TestTimes(t *testing.T) {
	var list []time.Duration
	for i := range 200 {
		list = append(list, time.Duration(200-i)*ms)
	}
	if got, want := times(list), (abt2.DrillTimes{Count: 200, P50: 100 * ms, P99: 198 * ms, Max: 200 * ms}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := times(list[:1]), (abt2.DrillTimes{Count: 1, P50: ms, P99: ms, Max: ms}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPlanOfFaults(t *testing.T) {
	r := abt2.DrillRequest{Switches: 40, Faults: abt2.FaultKinds(), FaultTime: time.Second, Seed: 3}
	kinds := map[abt2.FaultKind]int{}
	for i, b := range plan(r) {
		kinds[b.kind]++
		if i < 0 || i >= 40 || b.offset < -around || b.offset > around || b.length < 0 || b.length > time.Second || plan(r)[i] != b {
			t.Errorf("switch %d: %+v", i, b)
		}
	}
	for _, k := range abt2.FaultKinds() {
		if kinds[k] != 4 {
			t.Errorf("%s is planned %d times in 40 switches, want 4", k, kinds[k])
		}
	}
	r.Switches, r.Faults = 2, []abt2.FaultKind{abt2.FaultServerKill, abt2.FaultEdgeUpgrade}
	if got := plan(r); len(got) != 2 {
		t.Errorf("2 switches, 2 kinds: %+v", got)
	}
}

// A fault is felt as long as it said, and until the product is whole again.
func TestHowLongAFaultIsFelt(t *testing.T) {
	tr := trouble{made: []span{{100 * ms, 200 * ms}}}
	sick := abt2.Status{Instances: []abt2.InstanceStatus{{State: abt2.InstanceHealthy}, {State: abt2.InstanceBackoff}}}
	lost := abt2.Status{Routers: []abt2.RouterStatus{{Connected: false}}}
	for _, c := range []struct {
		status  abt2.Status
		now     time.Duration
		touched bool // a switch from 300 ms on
	}{{abt2.Status{}, 310 * ms, false}, {sick, 250 * ms, false}, {sick, 310 * ms, true}, {lost, 150 * ms, true}} {
		tr.linger(c.status, c.now)
		if got := tr.touched(span{300 * ms, 400 * ms}); got != c.touched {
			t.Errorf("at %s: touched %t, want %t", c.now, got, c.touched)
		}
	}
	tr = trouble{made: []span{{100 * ms, 200 * ms}}}
	if tr.linger(lost, 150*ms); tr.touched(span{201 * ms, 400 * ms}) || !tr.touched(span{200 * ms, 400 * ms}) {
		t.Errorf("a fault was shortened or prolonged: %+v", tr.made)
	}
}
