package drill

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// under puts a server under load until so many slots have been answered.
func under(t *testing.T, h http.Handler, r abt2.DrillRequest) *tally {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	r.URLs, r.Timeout = []string{srv.URL}, time.Minute
	a := newAsker(r, nil, judge{4: versions("web@1")})
	defer a.close()
	tl := newTally()
	l := startLoad(r.Rate, r.InFlight, func(slot int64, due time.Duration, now func() time.Duration) {
		tl.add(a.ask(context.Background(), slot, due, now))
	})
	if unsent := l.finish(context.Background(), r.Requests); unsent != 0 {
		t.Errorf("%d requests were due and not sent", unsent)
	}
	tl.settle()
	return tl
}

// Each answer counts once, as what it is, and no request is sent twice.
func TestWhatBecomesOfRequests(t *testing.T) {
	var served atomic.Int64
	tl := under(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch served.Add(1) % 10 {
		case 0:
			http.Error(w, "no", http.StatusServiceUnavailable)
		case 1:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case 2:
			_, _ = w.Write([]byte(`{"hops":[{"module":"web","version":"web@2","environment":4}]}`))
		case 3:
			_, _ = w.Write([]byte(`{"hops":[{"module":"web","version":"web@1","environment":9}]}`))
		case 4:
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("cut"))
		case 5:
			_, _ = w.Write([]byte(`{"hops":[{"module":"web","version":"web@1","environment":4}]}`))
		case 6:
			w.WriteHeader(http.StatusNoContent)
		}
	}), abt2.DrillRequest{Rate: 2000, InFlight: 4, Requests: 100})
	n := int(served.Load())
	got := tl.load
	if want := (abt2.DrillLoad{Requests: n, Failed: 4 * n / 10, Judged: 3 * n / 10, Mixed: n / 10}); n != 100 || got != want {
		t.Errorf("%d served: got %+v, want %+v", n, got, want)
	}
	if counted := tl.outside.TotalCount() + tl.during.TotalCount(); counted != 100 {
		t.Errorf("%d latencies of 100 requests", counted)
	}
	if all := strings.Join(tl.complaints, "\n"); len(tl.complaints) != maxComplaints || !strings.Contains(all, "GET http://") {
		t.Errorf("complaints: %q", tl.complaints)
	}
}

// One stalled answer delays every request that was due meanwhile, and all of
// them show it: the generator does not wait for the server with its clock.
func TestAStallIsFeltByAllThatWereDue(t *testing.T) {
	const requests, stall = 100, 200 * time.Millisecond
	var served atomic.Int64
	tl := under(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 1 {
			<-time.After(stall) // the fault that is injected
		}
	}), abt2.DrillRequest{Rate: 1000, InFlight: 1, Requests: requests})
	// All hundred were due within the first 100 ms, and answered after 200 ms.
	if fastest := time.Duration(tl.outside.Min()) * time.Microsecond; fastest < stall/2-lateness || tl.load.Requests < requests {
		t.Errorf("of %d requests the fastest took %s, though each was due %s before the first answer", tl.load.Requests, fastest, stall/2)
	}
}

// A load that is stopped tells what was due and not sent.
func TestWhatWasNotSent(t *testing.T) {
	release := make(chan struct{})
	sent := make(chan struct{}, 100)
	l := startLoad(1000, 1, func(int64, time.Duration, func() time.Duration) {
		sent <- struct{}{}
		<-release
	})
	<-sent
	<-time.After(l.due(50) - l.now()) // so many are due now
	l.stop()
	close(release)
	unsent := l.abandon()
	if unsent < 50 || l.sent.Load() != 1 {
		t.Errorf("%d unsent, %d sent; want all but one unsent", unsent, l.sent.Load())
	}
}
