package lane_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/baggage"

	"abt2.dev/lane"
)

func TestDetachOutlivesItsRequest(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 42, nil, "42 online web@1"))
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Header.Set("Abt2-Env", "42")
	r.Header.Set("Baggage", "user=7")
	var detached context.Context
	var release func()
	l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		detached, release = l.Detach(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	cancel()

	if err := detached.Err(); err != nil {
		t.Errorf("it ended with its request: %v", err)
	}
	if env, ok := lane.Environment(detached); env != 42 || !ok {
		t.Errorf("environment %d, %v", env, ok)
	}
	if got := baggage.FromContext(detached).Member("user").Value(); got != "7" {
		t.Errorf("foreign baggage: %q", got)
	}
	if got := l.Stats().Carried[42]; got != 1 {
		t.Errorf("%d carried before release", got)
	}
	release()
	release()
	if got := l.Stats().Carried; len(got) != 0 {
		t.Errorf("carried after release: %v", got)
	}
}

func TestDetachWithoutAnEnvironment(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 42, nil, "42 online web@1"))
	ctx, cancel := context.WithCancel(context.Background())
	detached, release := l.Detach(ctx)
	cancel()
	if _, ok := lane.Environment(detached); ok || detached.Err() != nil || len(l.Stats().Carried) != 0 {
		t.Errorf("environment %v, %v, carried %v", ok, detached.Err(), l.Stats().Carried)
	}
	release()
}
