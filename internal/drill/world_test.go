package drill

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"abt2.dev"
)

// world is a product as a drill sees it: a service, and an edge that answers
// with the hop list of whatever is online.
type world struct {
	abt2.Service // the rest is not called
	edge         *httptest.Server

	mu      sync.Mutex
	status  abt2.Status
	answers func() string // of the edge; nil: a hop list
	verbs   []abt2.Verb
	errs    []error                                // of the next verbs; nil: it succeeds
	onVerb  func(ctx context.Context, n int) error // before the n-th verb does anything
	disturb func(abt2.FaultRequest) (abt2.Fault, error)
	faults  []abt2.FaultRequest
}

func newWorld(t *testing.T) *world {
	w := &world{status: abt2.Status{
		Product: "default",
		Session: &abt2.SessionStatus{ID: 1, State: abt2.SessionOpen, Operator: "ann", Targets: []abt2.PlanLine{{Module: "web", State: abt2.TargetShipped}}},
		Online:  &abt2.EnvironmentStatus{ID: 2, Modules: versions("web@1")},
		Preview: &abt2.EnvironmentStatus{ID: 3, Modules: versions("web@2")},
	}}
	w.edge = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.answers != nil {
			fmt.Fprint(rw, w.answers())
			return
		}
		e := w.status.Online
		fmt.Fprintf(rw, `{"hops":[{"module":"web","version":%q,"environment":%d}]}`, e.Modules["web"], e.ID)
	}))
	t.Cleanup(w.edge.Close)
	w.status.Edges = []string{w.edge.URL}
	return w
}

func (w *world) Status(ctx context.Context, _ abt2.ProductName) (abt2.Status, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, ctx.Err()
}

func (w *world) Run(ctx context.Context, r abt2.VerbRequest, progress func(abt2.Progress)) (abt2.Outcome, error) {
	progress(abt2.Progress{Step: "prepare"})
	w.mu.Lock()
	w.verbs = append(w.verbs, r.Verb)
	n := len(w.verbs)
	onVerb := w.onVerb
	w.mu.Unlock()
	if onVerb != nil {
		if err := onVerb(ctx, n); err != nil {
			return abt2.Outcome{}, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errs) > 0 {
		err := w.errs[0]
		w.errs = w.errs[1:]
		if abt2.CodeOf(err) == abt2.CodeUnconfirmed {
			return abt2.Outcome{Unconfirmed: []string{"router order-3-1 (has revision 7)"}}, err
		}
		if err != nil {
			return abt2.Outcome{}, err
		}
	}
	return w.move(r.Verb), nil
}

// move does what a verb does. The caller holds mu.
func (w *world) move(verb abt2.Verb) abt2.Outcome {
	s := &w.status
	switch {
	case verb == abt2.VerbCommit && s.Session.State == abt2.SessionOpen:
		s.Online, s.Backup, s.Preview = s.Preview, s.Online, nil
		s.Session = &abt2.SessionStatus{ID: 1, State: abt2.SessionCommitted, Operator: "ann"}
	case verb == abt2.VerbRollback && s.Session.State == abt2.SessionCommitted:
		s.Online, s.Preview, s.Backup = s.Backup, s.Online, nil
		s.Session = &abt2.SessionStatus{ID: 1, State: abt2.SessionOpen, Operator: "ann"}
	default:
		return abt2.Outcome{Verb: verb, Same: true}
	}
	return abt2.Outcome{Verb: verb, Prepared: 2 * time.Millisecond, Switched: time.Millisecond}
}

func (w *world) online() abt2.EnvironmentID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status.Online.ID
}

func (w *world) Disturb(_ context.Context, r abt2.FaultRequest) (abt2.Fault, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, r)
	return w.disturb(r)
}

func request() abt2.DrillRequest {
	return abt2.DrillRequest{
		By: abt2.By{Operator: "ann"}, Product: "default", Paths: []string{"/"},
		Rate: 500, Requests: 150, InFlight: 8, Timeout: time.Minute, Switches: 4, FaultTime: time.Second, Seed: 1,
	}
}

// drill runs a whole drill.
func drill(ctx context.Context, t *testing.T, svc abt2.Service, r abt2.DrillRequest, hurry <-chan struct{}) (abt2.DrillReport, error) {
	t.Helper()
	d := New(svc, r, hurry)
	if _, err := d.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	return d.Run(ctx, func(abt2.DrillProgress) {})
}
