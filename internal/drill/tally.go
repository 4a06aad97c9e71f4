package drill

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"abt2.dev"
)

// turn is one verb of the drill. Times are since the load began.
type turn struct {
	verb      abt2.Verb
	from      abt2.EnvironmentID // online when it was sent
	sent      time.Duration
	confirmed time.Duration // by the last stamper; meaningful once over
	ended     time.Duration // the verb, with its settling
	over      bool
	switched  bool // otherwise nothing changed
	disturbed bool // by a fault
	outcome   abt2.Outcome
	// lastOld is when the last request was sent that from answered; negative: none.
	lastOld time.Duration
	// suspects are the requests that from answered and that were sent while the
	// verb was at work: when it was confirmed is known when it is over.
	suspects []sample
}

// stale reports whether the turn, which is over, promised that a request would
// be answered otherwise.
func (u *turn) stale(s sample) bool {
	return u.switched && len(u.outcome.Unconfirmed) == 0 && s.environment == u.from && s.sent > u.confirmed
}

// span is a stretch of the load's time.
type span struct{ from, to time.Duration }

// tally counts what becomes of the requests. Its methods may be called from
// several goroutines.
type tally struct {
	mu              sync.Mutex
	load            abt2.DrillLoad // without its latencies
	outside, during *hdrhistogram.Histogram
	complaints      []string
	cuts            []sample                             // broken off: whether a fault did it is known in the end
	kills           []span                               // in which a fault killed an instance
	turns           []*turn                              // in order
	latest          map[abt2.EnvironmentID]time.Duration // when the last request was sent that it answered
	held            []sample                             // due since the last turn was sent, while it is not over
}

const (
	maxComplaints = 5
	maxLatency    = time.Hour // longer ones count as that
)

func newTally() *tally {
	h := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency.Microseconds(), 3) }
	return &tally{outside: h(), during: h(), latest: map[abt2.EnvironmentID]time.Duration{}}
}

// add counts a request.
func (t *tally) add(s sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.load.Requests++
	if s.resent {
		t.load.Resent++
	}
	if s.judged {
		t.load.Judged++
	}
	switch {
	case s.mixed != "":
		t.load.Mixed++
		t.complain(s, "mixed: "+s.mixed)
	case s.cut:
		t.cuts = append(t.cuts, s)
	case s.failed != "":
		t.load.Failed++
		t.complain(s, s.failed)
	}
	t.old(s)
	if n := len(t.turns); n > 0 && !t.turns[n-1].over && s.due >= t.turns[n-1].sent {
		t.held = append(t.held, s)
		return
	}
	t.measure(s)
}

func (t *tally) complain(s sample, why string) {
	if len(t.complaints) < maxComplaints {
		t.complaints = append(t.complaints, "GET "+s.target+": "+why)
	}
}

// old remembers when an answer's request was sent, for the turn that leaves the
// environment of the answer: the one that was at work or over by then, or else
// the next. A request that was on its way when the next turn began may have been
// received after it, and tells nothing of the turn before.
func (t *tally) old(s sample) {
	if s.environment == 0 {
		return
	}
	t.latest[s.environment] = max(t.latest[s.environment], s.sent)
	for i := len(t.turns) - 1; i >= 0; i-- {
		u := t.turns[i]
		before := u.sent <= s.sent
		if before && i+1 < len(t.turns) && t.turns[i+1].sent <= s.done {
			return
		}
		if u.from == s.environment && (before || i == 0 || t.turns[i-1].sent <= s.sent) {
			u.lastOld = max(u.lastOld, s.sent)
		}
		if !before {
			continue
		}
		switch {
		case u.from != s.environment:
		case !u.over:
			u.suspects = append(u.suspects, s)
		case u.stale(s):
			t.stale(u, s)
		}
		return
	}
}

// stale counts a request that was answered by the environment before a switch
// that had been confirmed when it was sent.
func (t *tally) stale(u *turn, s sample) {
	t.load.Stale++
	touched := ""
	if u.disturbed {
		touched = ", which a fault touched"
	}
	t.complain(s, fmt.Sprintf("sent %s after switch %d (%s)%s, was confirmed, and answered by environment %s",
		(s.sent-u.confirmed).Round(time.Microsecond), slices.Index(t.turns, u)+1, u.verb, touched, s.environment))
}

// measure enters a latency. All turns that the request may belong to are over.
func (t *tally) measure(s sample) {
	h := t.outside
	for i := len(t.turns) - 1; i >= 0; i-- {
		if u := t.turns[i]; u.sent <= s.due {
			if u.over && s.due < u.confirmed {
				h = t.during
			}
			break
		}
	}
	latency := min(max(s.done-s.due, time.Microsecond), maxLatency)
	_ = h.RecordValue(latency.Microseconds()) // within bounds: cannot fail
}

// begin enters a turn as its verb is sent.
func (t *tally) begin(u *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.lastOld = -1
	if at, seen := t.latest[u.from]; seen {
		u.lastOld = at
	}
	t.turns = append(t.turns, u)
}

// end ends the last turn. fill completes it.
func (t *tally) end(u *turn, fill func(*turn)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fill(u)
	u.over = true
	for _, s := range u.suspects {
		if u.stale(s) {
			t.stale(u, s)
		}
	}
	u.suspects = nil
	for _, s := range t.held {
		t.measure(s)
	}
	t.held = nil
}

// killed enters a stretch in which a fault killed an instance.
func (t *tally) killed(s span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kills = append(t.kills, s)
}

// settle decides about the requests that broke off. Nothing may be added afterwards.
func (t *tally) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.held { // of a turn that was left
		t.measure(s)
	}
	t.held = nil
	for _, s := range t.cuts {
		if t.cutBy(s) {
			t.load.Cut++
			continue
		}
		t.load.Failed++
		t.complain(s, s.failed)
	}
	t.cuts = nil
}

// cutBy reports whether an instance was killed while the request was on its way.
func (t *tally) cutBy(s sample) bool {
	for _, k := range t.kills {
		if k.from <= s.done && k.to >= s.sent {
			return true
		}
	}
	return false
}

// progress is how many requests have been answered.
func (t *tally) progress() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.load.Requests
}
