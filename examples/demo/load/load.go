// Package load sends requests at a constant rate, whatever the answers do, and
// judges every answer by its hop list.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Plan says what to send. Requests take the targets in turn.
type Plan struct {
	Rate    int // requests a second over all targets
	Workers int // requests on their way at once, at most
	Timeout time.Duration
	Client  *http.Client
	Targets []Target
	// Judge looks at a 200's body. An error in whose chain there is ErrMixed
	// counts as mixed, any other as failed.
	Judge func(body []byte) error
}

// Target is one thing to ask for.
type Target struct {
	Name, URL string
}

// ErrMixed marks an answer that more than one release had a part in.
var ErrMixed = errors.New("mixed")

// Result is what a load measured. Latency runs from the moment at which a
// request was due, not from when it was sent: a stall is felt by every request
// that was due in it.
type Result struct {
	Requests, Failed, Mixed int
	Latency                 *hdrhistogram.Histogram // microseconds
	Complaints              []string                // the first few failed or mixed requests, for people
}

// Quantile returns a latency; q is in percent.
func (r *Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(q)) * time.Microsecond
}

// Load is a plan at work.
type Load struct {
	plan    Plan
	start   time.Time
	next    atomic.Int64 // the slot to be sent next: slot i is due at start + i/Rate
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex
	total   Result
	waiters []waiter
}

// waiter is told when so many requests have been answered.
type waiter struct {
	requests int
	reached  chan struct{}
}

const maxComplaints = 5

// Start begins to send. It goes on until Stop, or until ctx ends.
func Start(ctx context.Context, plan Plan) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{plan: plan, start: time.Now(), stop: stop}
	l.total.Latency = hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	for range plan.Workers {
		l.workers.Go(func() { l.work(ctx) })
	}
	return l
}

// Await returns when n more requests have been answered, or ctx has ended.
func (l *Load) Await(ctx context.Context, n int) error {
	l.mu.Lock()
	w := waiter{l.total.Requests + n, make(chan struct{})}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	select {
	case <-w.reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stop lets the requests on their way end and returns what was measured.
func (l *Load) Stop() *Result {
	l.stop()
	l.workers.Wait()
	return &l.total
}

func (l *Load) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		slot := l.next.Add(1) - 1
		due := l.start.Add(time.Duration(slot) * time.Second / time.Duration(l.plan.Rate))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		target := l.plan.Targets[slot%int64(len(l.plan.Targets))]
		err := l.ask(context.WithoutCancel(ctx), target)
		l.count(target, err, time.Since(due))
	}
}

func (l *Load) ask(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, l.plan.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL, nil)
	if err != nil {
		return err
	}
	resp, err := l.plan.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	return l.plan.Judge(body)
}

func (l *Load) count(t Target, err error, latency time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.total
	r.Requests++
	_ = r.Latency.RecordValue(min(latency.Microseconds(), r.Latency.HighestTrackableValue())) // within bounds: cannot fail
	if err != nil {
		if errors.Is(err, ErrMixed) {
			r.Mixed++
		} else {
			r.Failed++
		}
		if len(r.Complaints) < maxComplaints {
			r.Complaints = append(r.Complaints, fmt.Sprintf("%s: %v", t.Name, err))
		}
	}
	l.waiters = slices.DeleteFunc(l.waiters, func(w waiter) bool {
		if w.requests > r.Requests {
			return false
		}
		close(w.reached)
		return true
	})
}
