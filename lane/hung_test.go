package lane_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"abt2.dev/lane"
)

// hanging is an instance that takes requests and answers them when told to.
func hanging(t *testing.T) (address string, arrived <-chan struct{}, goOn chan<- struct{}) {
	in, out := make(chan struct{}, 8), make(chan struct{}, 8)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		select {
		case <-out:
			_, _ = io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), in, out
}

type result struct {
	body string
	err  error
}

// callHanging sends a request to an instance that hangs, then has the table drop
// it in favour of others, and returns where the answer will be.
func callHanging(t *testing.T, method string, others ...string) (answer <-chan result, goOn chan<- struct{}, l *lane.Lane) {
	hung, arrived, goOn := hanging(t)
	l, f := joinTable(t, tableOf(1, 42, map[string][]string{"order@3": {hung}}, "42 online web@1 order@3"))
	done := make(chan result, 1)
	go func() {
		req, err := http.NewRequestWithContext(lane.WithEnvironment(testContext(t), 42), method, "http://order/", nil)
		if err != nil {
			done <- result{err: err}
			return
		}
		body, err := do(t, l.Transport(nil), req)
		done <- result{body, err}
	}()
	<-arrived
	f.publish(tableOf(2, 42, map[string][]string{"order@3": others}, "42 online web@1 order@3"))
	return done, goOn, l
}

func TestAHungInstanceIsGivenUp(t *testing.T) {
	good := newBackend(t, "good")
	answer, _, l := callHanging(t, http.MethodGet, good.address)
	if r := <-answer; r.body != "good" || r.err != nil {
		t.Errorf("got %q, %v; want the other instance's answer", r.body, r.err)
	}
	if n := l.Stats().Retried; n != 1 {
		t.Errorf("%d retried, want 1", n)
	}
}

// What was only told to end answers what it was sent before, and is not asked
// twice; nor is one for which nobody else could answer, or that must not be.
func TestAnInstanceThatLeavesMayStillAnswer(t *testing.T) {
	good := newBackend(t, "good")
	for _, tt := range []struct {
		name, method string
		others       []string
	}{
		{"in time", http.MethodGet, []string{good.address}},
		{"nobody else", http.MethodGet, nil},
		{"not repeatable", http.MethodPost, []string{good.address}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, goOn, l := callHanging(t, tt.method, tt.others...)
			goOn <- struct{}{}
			if r := <-answer; r.body != "late" || r.err != nil {
				t.Errorf("got %q, %v; want the answer of the one that was asked", r.body, r.err)
			}
			if n := l.Stats().Retried; n != 0 {
				t.Errorf("%d retried, want none", n)
			}
		})
	}
}
