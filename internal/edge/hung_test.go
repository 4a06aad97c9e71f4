package edge

import (
	"io"
	"net/http"
	"testing"
)

// A user's GET does not hang with the instance that it was sent to: it is sent
// to another when the table has dropped that one.
func TestGivesAHungInstanceUp(t *testing.T) {
	arrived := make(chan struct{}, 8)
	hung := module(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	good := module(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") })
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1, hung))
	go func() {
		<-arrived
		if err := e.apply(routesTo(2, good)); err != nil {
			t.Error(err)
		}
	}()
	if res, body := e.get(t, "/", nil); res.StatusCode != http.StatusOK || body != "good" {
		t.Errorf("%s %q, want the other instance's answer", res.Status, body)
	}
}
