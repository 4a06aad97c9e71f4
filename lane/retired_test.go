package lane_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"abt2.dev/lane"
	"abt2.dev/lane/feedpb"
)

func TestARequestEndsWithItsEnvironment(t *testing.T) {
	l, f := joinTable(t, tableOf(1, 50, nil, "41 backup web@1", "42 online web@1"))
	begun, causes := make(chan struct{}, 2), make(chan error, 2)
	h := l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		causes <- context.Cause(r.Context())
	}))
	serve := func(ctx context.Context, env string) {
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		r.Header.Set("Abt2-Env", env)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	other := make(chan struct{})
	go func() { defer close(other); serve(ctx, "41") }()
	<-begun
	served := make(chan struct{})
	go func() { defer close(served); serve(t.Context(), "42") }()
	<-begun
	f.asks <- &feedpb.Read{Id: 1, Subject: feedpb.Read_SUBJECT_REPORT, Drained: 42, Close: 42}
	if err := <-causes; !errors.Is(err, lane.ErrRetired) {
		t.Errorf("cause %v, want ErrRetired", err)
	}
	<-served
	cancel()
	if err := <-causes; errors.Is(err, lane.ErrRetired) {
		t.Errorf("a request of another environment: %v", err)
	}
	<-other
}
