package drill

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

const (
	commit   = abt2.VerbCommit
	rollback = abt2.VerbRollback
)

func TestADrillOfAnOpenSession(t *testing.T) {
	w := newWorld(t)
	r, err := drill(t.Context(), t, w, request(), nil)
	if err != nil || !r.Clean() || r.Stopped {
		t.Fatalf("%+v, %v", r, err)
	}
	if !slices.Equal(w.verbs, []abt2.Verb{commit, rollback, commit, rollback}) || w.online() != 2 || r.Found != 2 || r.Other != 3 || r.Online != 2 {
		t.Errorf("verbs %v, online %d, report %+v", w.verbs, w.online(), r)
	}
	if r.Load.Requests < 150 || r.Load.Judged != r.Load.Requests || r.Load.Outside.Requests+r.Load.During.Requests != r.Load.Requests || r.Load.Unsent != 0 {
		t.Errorf("load %+v", r.Load)
	}
	if s := r.Switches; s.Commits != 2 || s.Rollbacks != 2 || s.Calm.Count != 4 || s.Prepared.Max != 2*time.Millisecond || s.Flipped.Max != time.Millisecond || s.LastOld == nil {
		t.Errorf("switches %+v", s)
	}
}

// An odd number of switches is made even by the way back, which counts too.
func TestADrillOfACommittedSession(t *testing.T) {
	w := newWorld(t)
	w.move(commit)
	q := request()
	q.Switches = 1
	r, err := drill(t.Context(), t, w, q, nil)
	if err != nil || !slices.Equal(w.verbs, []abt2.Verb{rollback, commit}) || r.Found != 3 || r.Online != 3 || w.online() != 3 || r.Switches.Commits+r.Switches.Rollbacks != 2 {
		t.Errorf("verbs %v, online %d, report %+v, %v", w.verbs, w.online(), r, err)
	}
}

func TestWhatCannotBeDrilled(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*world, *abt2.DrillRequest)
		code   abt2.Code
		says   string
	}{
		{"no session", func(w *world, _ *abt2.DrillRequest) { w.status.Session = nil }, abt2.CodeRefused, "abt2 start create --op=ann"},
		{"another's session", func(w *world, _ *abt2.DrillRequest) { w.status.Session.Operator = "bob" }, abt2.CodeOwner, "bob's"},
		{"no preview", func(w *world, _ *abt2.DrillRequest) { w.status.Preview = nil }, abt2.CodeRefused, "abt2 ship all --op=ann"},
		{"half a preview", func(w *world, _ *abt2.DrillRequest) { w.status.Session.Targets[0].State = abt2.TargetStale }, abt2.CodeRefused, "abt2 ship web --op=ann"},
		{"first release", func(w *world, _ *abt2.DrillRequest) { w.status.Online.Modules = nil }, abt2.CodeRefused, "second release"},
		{"a verb at work", func(w *world, _ *abt2.DrillRequest) {
			w.status.Running = &abt2.Intent{Verb: abt2.VerbShip, Operator: "ann"}
		}, abt2.CodeRefused, "ship by ann"},
		{"no edge", func(w *world, _ *abt2.DrillRequest) { w.status.Edges = nil }, abt2.CodeRefused, "no edge"},
		{"no faults here", func(_ *world, r *abt2.DrillRequest) { r.Faults = []abt2.FaultKind{abt2.FaultServerKill} }, abt2.CodeRefused, "--allow-faults"},
		{"another product", func(w *world, r *abt2.DrillRequest) { r.Product, w.status.Session = "shop", nil }, abt2.CodeRefused, "--product=shop"},
		{"nobody there", func(_ *world, r *abt2.DrillRequest) { r.URLs = []string{"http://127.0.0.1:1/"} }, abt2.CodeRefused, "GET http://127.0.0.1:1/ fails"},
		{"bad input", func(_ *world, r *abt2.DrillRequest) { r.Rate = 0 }, abt2.CodeInvalid, "rate 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, q := newWorld(t), request()
			c.change(w, &q)
			_, err := New(w, q, nil).Prepare(t.Context())
			if abt2.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s: %s", err, c.code, c.says)
			}
			if len(w.verbs)+len(w.faults) > 0 {
				t.Errorf("something was done: %v, %v", w.verbs, w.faults)
			}
		})
	}
}

// Only a server that was started for it is drilled unasked.
func TestWhoIsAsked(t *testing.T) {
	w := newWorld(t)
	if q, err := New(w, request(), nil).Prepare(t.Context()); err != nil || !strings.Contains(q, "environments 2 (online) and 3") {
		t.Errorf("asks %q, %v", q, err)
	}
	w.status.Faults = true
	if q, err := New(w, request(), nil).Prepare(t.Context()); err != nil || q != "" {
		t.Errorf("asks %q, %v; want nothing", q, err)
	}
}

// A server that is away is asked again; a commit that was not confirmed is
// counted apart, by its laggards, and tried again.
func TestVerbsThatDoNotSucceedAtOnce(t *testing.T) {
	w := newWorld(t)
	away := abt2.Errorf(abt2.CodeUnavailable, "no server answers")
	w.errs = []error{away, away, nil, nil, abt2.Errorf(abt2.CodeUnconfirmed, "nothing has changed"), away, nil, abt2.Errorf(abt2.CodeCommitted, "switched, but")}
	w.onVerb = func(_ context.Context, n int) error {
		if n == 8 {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.move(rollback) // as CodeCommitted says
		}
		return nil
	}
	r, err := drill(t.Context(), t, w, request(), nil)
	if want := []abt2.Verb{commit, commit, commit, rollback, commit, commit, commit, rollback}; err != nil || !slices.Equal(w.verbs, want) || w.online() != 2 {
		t.Errorf("verbs %v, %v, online %d", w.verbs, err, w.online())
	}
	s := r.Switches
	if s.Repeated != 3 || s.Aborted != 1 || s.Laggards["router order-3-1"] != 1 || s.Commits != 2 || s.Rollbacks != 2 {
		t.Errorf("got %+v", s)
	}
	if s.Calm.Count != 2 || s.Disturbed.Count != 2 {
		t.Errorf("calm %+v, disturbed %+v; want the two rollbacks calm", s.Calm, s.Disturbed)
	}
}

// A verb that fails ends the drill, which says so and goes back.
func TestAVerbThatFails(t *testing.T) {
	w := newWorld(t)
	w.errs = []error{nil, abt2.Errorf(abt2.CodeFailed, "the disk is full")}
	r, err := drill(t.Context(), t, w, request(), nil)
	if abt2.CodeOf(err) != abt2.CodeFailed || !r.Stopped || r.Online != 2 || w.online() != 2 || r.Switches.Commits != 1 {
		t.Errorf("%+v, %v, online %d", r, err, w.online())
	}
}

func TestMixedAndForeignAnswers(t *testing.T) {
	w := newWorld(t)
	n := 0
	w.answers = func() string {
		n++
		switch n % 3 {
		case 0:
			return `{"hops":[{"module":"web","version":"web@1","environment":2},{"module":"web","version":"web@2","environment":3}]}`
		case 1:
			return `{"hops":[{"module":"web","version":"web@9","environment":9}]}`
		}
		return "hello"
	}
	r, err := drill(t.Context(), t, w, request(), nil)
	if err != nil || r.Clean() || r.Load.Mixed == 0 || r.Load.Failed == 0 || r.Load.Judged != r.Load.Mixed+r.Load.Failed || r.Load.Judged == r.Load.Requests {
		t.Errorf("%+v, %v", r.Load, err)
	}
}

func TestFaultsAreMadeAndCounted(t *testing.T) {
	w := newWorld(t)
	w.status.Faults = true
	w.disturb = func(r abt2.FaultRequest) (abt2.Fault, error) {
		if r.Kind == abt2.FaultInstanceKill {
			return abt2.Fault{}, abt2.Errorf(abt2.CodeRefused, "nothing may be struck")
		}
		return abt2.Fault{Kind: r.Kind, Target: "server", For: r.For}, nil
	}
	q := request()
	q.Faults, q.FaultTime = []abt2.FaultKind{abt2.FaultServerKill, abt2.FaultInstanceKill}, time.Millisecond
	r, err := drill(t.Context(), t, w, q, nil)
	want := []abt2.DrillFault{{Kind: abt2.FaultServerKill, Made: 1}, {Kind: abt2.FaultInstanceKill, Refused: 1}}
	slices.SortFunc(r.Faults, func(a, b abt2.DrillFault) int { return b.Made - a.Made })
	if err != nil || !slices.Equal(r.Faults, want) || r.Switches.Disturbed.Count < 1 {
		t.Errorf("faults %+v, %+v, %v", r.Faults, r.Switches, err)
	}
	for _, f := range w.faults {
		if f.Operator != "ann" || f.Product != "default" || f.For > time.Millisecond {
			t.Errorf("asked for %+v", f)
		}
	}
}

// Ctrl-C, at whatever point: the environment that was found is online again.
func TestStoppedDrillGoesBack(t *testing.T) {
	for n := 1; n <= 4; n++ {
		for _, flipped := range []bool{false, true} {
			w := newWorld(t)
			ctx, cancel := context.WithCancel(t.Context())
			w.onVerb = func(ctx context.Context, i int) error {
				if i != n {
					return nil
				}
				cancel()
				if flipped {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.move(w.verbs[i-1])
				}
				<-ctx.Done()
				return abt2.Wrap(abt2.CodeFailed, ctx.Err(), "given up")
			}
			r, err := drill(ctx, t, w, request(), nil)
			cancel()
			if err != nil || !r.Stopped || r.Online != 2 || w.online() != 2 {
				t.Errorf("verb %d, flipped %t: online %d, %+v, %v", n, flipped, w.online(), r, err)
			}
		}
	}
}

// Ctrl-C twice: it leaves, and says what is online and how to go back.
func TestLeftDrillSaysHowThingsStand(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hurry := make(chan struct{})
	w.onVerb = func(ctx context.Context, i int) error {
		switch i {
		case 2: // the rollback hangs: Ctrl-C
			cancel()
		case 3: // and so does the way back: once more
			close(hurry)
		default:
			return nil
		}
		<-ctx.Done()
		return abt2.Wrap(abt2.CodeFailed, ctx.Err(), "given up")
	}
	r, err := drill(ctx, t, w, request(), hurry)
	if r.Online != 3 || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "environment 3 is online, and environment 2 was") || !strings.Contains(err.Error(), "abt2 rollback --op=ann") {
		t.Errorf("%+v, %v", r, err)
	}
}
