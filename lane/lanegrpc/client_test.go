package lanegrpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"abt2.dev/lane"
	"abt2.dev/lane/route"
)

func TestCallsFollowTheStamp(t *testing.T) {
	lns, addresses := listenAll(t, "order@2", "order@3", "order@4")
	f := newFeed(t, tableOf(1, 43, addresses, "41 backup web@1 order@2", "42 online web@1 order@3", "43 preview web@1 order@4"))
	for v, ln := range lns {
		f.serve(t, ln, v, instance(v, 0))
	}
	l := f.join(t, "web@1", "web-1")
	c := dial(t, l, "order")
	user, err := baggage.NewMember("user", "7")
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(user)
	if err != nil {
		t.Fatal(err)
	}
	inContext := baggage.ContextWithBaggage(testContext(t), bag)
	inMetadata := metadata.AppendToOutgoingContext(testContext(t), "baggage", "user=7,abt2.env=1", "abt2-env", "1", "abt2-to", "order@9")
	for _, k := range kinds {
		for env, want := range map[uint64]string{41: "order@2", 42: "order@3", 43: "order@4", 0: "order@3"} {
			for where, ctx := range map[string]context.Context{"context": inContext, "metadata": inMetadata} {
				got, err := k.call(lane.WithEnvironment(ctx, env), c)
				id := env
				if env == 0 {
					id = 42 // online names our version
				}
				want := fmt.Sprintf("%s/%s in %d, user 7, baggage %d", want, instance(want, 0), id, id)
				if err != nil || got != want {
					t.Errorf("%s in %d, baggage in the %s: %q, %v, want %q", k.name, env, where, got, err, want)
				}
			}
		}
	}
	if s := l.Stats(); len(s.Carried) != 0 || s.Stamped != 6 || s.Restamped != 0 || s.Retried != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCannotRoute(t *testing.T) {
	f := newFeed(t, tableOf(1, 43, map[string][]string{"order@4": {refusing(t)}}, "42 online web@1 order@3", "43 preview web@1 order@4"))
	l := f.join(t, "web@1", "web-1")
	for _, k := range kinds {
		for _, tt := range []struct {
			env    uint64
			module string
			reason route.Reason
			words  string
		}{
			{42, "order", route.NoInstance, "module order has no healthy instance in environment 42"},
			{42, "stock", route.NoModule, `environment 42 has no module "stock"`},
			{41, "order", route.Retired, "environment 41 has been retired"},
			{99, "order", route.Unknown, "environment 99 is not known here yet"},
			{43, "order", 0, "connection refused"},
		} {
			_, err := k.call(lane.WithEnvironment(testContext(t), tt.env), dial(t, l, tt.module))
			if status.Code(err) != codes.Unavailable || route.ReasonOf(err) != tt.reason || !strings.Contains(status.Convert(err).Message(), tt.words) {
				t.Errorf("%s of %s in %d: %v, reason %d", k.name, tt.module, tt.env, err, route.ReasonOf(err))
			}
		}
	}
	if n := f.fetches.Load(); n != int64(len(kinds)) {
		t.Errorf("%d fetches, want one for each call in an unknown environment", n)
	}
	if s := l.Stats(); len(s.Carried) != 0 {
		t.Errorf("still carried: %v", s.Carried)
	}
}

func TestUnknownEnvironmentIsFetchedOnce(t *testing.T) {
	lns, addresses := listenAll(t, "order@3")
	f := newFeed(t, tableOf(1, 42, addresses, "42 online web@1 order@3"))
	f.fetched = tableOf(2, 43, addresses, "42 online web@1 order@3", "43 preview web@1 order@3")
	f.serve(t, lns["order@3"], "order@3", "order-3-a")
	c := dial(t, f.join(t, "web@1", "web-1"), "order")
	if _, err := unary(lane.WithEnvironment(testContext(t), 43), c); err != nil {
		t.Fatal(err)
	}
	if _, err := unary(lane.WithEnvironment(testContext(t), 43), c); err != nil || f.fetches.Load() != 1 {
		t.Errorf("%v after %d fetches", err, f.fetches.Load())
	}
}

// TestNoConnectionYet: calls wait for a connection, not longer than their deadline.
func TestNoConnectionYet(t *testing.T) {
	ln := listen(t) // accepts nothing before it is served
	f := newFeed(t, tableOf(1, 42, map[string][]string{"order@3": {ln.address}}, "42 online web@1 order@3"))
	l := f.join(t, "web@1", "web-1")
	c := dial(t, l, "order")
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if _, err := unary(ctx, c); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("before: %v", err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := unary(testContext(t), c); err != nil {
				t.Error(err)
			}
		})
	}
	f.serve(t, ln, "order@3", "order-3-a")
	wg.Wait()
}

// TestStaleAddress: at the address of one of two instances there is someone else.
func TestStaleAddress(t *testing.T) {
	good, stale := listen(t), listen(t)
	f := newFeed(t, tableOf(1, 42, map[string][]string{"order@3": {stale.address, good.address}}, "42 online web@1 order@3 stock@9"))
	f.serve(t, good, "order@3", "order-3-b")
	f.serve(t, stale, "stock@9", "stock-9-a")
	l := f.join(t, "web@1", "web-1")
	c := dial(t, l, "order")
	retried := uint64(0)
	for _, k := range append(kinds, kind{"header first", headerFirst}) {
		ctx := testContext(t)
		for n := 0; n < 20 || l.Stats().Retried == retried && ctx.Err() == nil; n++ { // each begins at either
			if got, err := k.call(ctx, c); err != nil || !strings.HasPrefix(got, "order@3/order-3-b in 42") {
				t.Fatalf("%s: %q, %v", k.name, got, err)
			}
		}
		if s := l.Stats(); s.Retried == retried {
			t.Errorf("%s: none was sent to another instance", k.name)
		} else {
			retried = s.Retried
		}
	}
	// A client that has sent something may have sent more: its stream is not repeated.
	failed := 0
	for range 20 {
		s, err := c.StreamingInputCall(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Send(&testpb.StreamingInputCallRequest{})
		switch _, err := s.CloseAndRecv(); status.Code(err) {
		case codes.OK:
		case codes.Unavailable:
			failed++
		default:
			t.Errorf("client stream: %v", err)
		}
	}
	if s := l.Stats(); failed == 0 || s.Retried != retried || len(s.Carried) != 0 {
		t.Errorf("client streams: %d of 20 failed, then %+v", failed, s)
	}
}

func headerFirst(ctx context.Context, c testpb.TestServiceClient) (string, error) {
	s, err := c.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
	if err != nil {
		return "", err
	}
	if md, err := s.Header(); md == nil || err != nil {
		return "", fmt.Errorf("header %v, %w", md, err)
	}
	m, err := s.Recv()
	if err != nil {
		return "", err
	}
	_, _ = s.Recv()
	_, _ = s.Recv()
	return string(m.GetPayload().GetBody()), nil
}

func TestEveryInstanceIsSomeoneElse(t *testing.T) {
	stale := listen(t)
	f := newFeed(t, tableOf(1, 42, map[string][]string{"order@3": {stale.address}}, "42 online web@1 order@3 stock@9"))
	f.serve(t, stale, "stock@9", "stock-9-a")
	l := f.join(t, "web@1", "web-1")
	for _, k := range kinds {
		_, err := k.call(testContext(t), dial(t, l, "order"))
		if status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "this is stock@9/stock-9-a, not order@3/order-3-a") {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	if s := l.Stats(); s.Retried != 0 || len(s.Carried) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFallbackToOnline(t *testing.T) {
	lns, addresses := listenAll(t, "soft@1")
	f := newFeed(t, tableOf(1, 43, addresses, "42 online web@1 soft@1", "43 preview web@2 soft@2"))
	f.serve(t, lns["soft@1"], "soft@1", "soft-1-a")
	l := f.join(t, "web@1", "web-1")
	got, err := unary(lane.WithEnvironment(testContext(t), 43), dial(t, l, "soft"))
	if err != nil || !strings.HasPrefix(got, "soft@1/soft-1-a in 43,") || l.Stats().Fallbacks != 1 {
		t.Errorf("%q, %v, %d counted", got, err, l.Stats().Fallbacks)
	}
}

// TestStreamsAreCarried until they are over, however that comes about.
func TestStreamsAreCarried(t *testing.T) {
	lns, addresses := listenAll(t, "order@3")
	f := newFeed(t, tableOf(1, 42, addresses, "42 online web@1 order@3"))
	f.serve(t, lns["order@3"], "order@3", "order-3-a")
	l := f.join(t, "web@1", "web-1")
	c := dial(t, l, "order")
	for _, end := range []string{"closed", "cancelled"} {
		ctx, cancel := context.WithCancel(testContext(t))
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		if got := l.Stats().Carried[42]; got != 1 {
			t.Errorf("%s: %d carried while it is open", end, got)
		}
		if end == "closed" {
			_ = s.CloseSend()
		} else {
			cancel()
		}
		if _, err := s.Recv(); err == nil {
			t.Errorf("%s: not over", end)
		}
		if got := l.Stats().Carried; len(got) != 0 {
			t.Errorf("%s: %v carried afterwards", end, got)
		}
		cancel()
	}
}

func TestTargets(t *testing.T) {
	f := newFeed(t, tableOf(1, 42, nil, "42 online web@1"))
	l := f.join(t, "web@1", "web-1")
	_, err := unary(testContext(t), dial(t, l, "order.example"))
	if err == nil || !strings.Contains(err.Error(), "must be abt2:///MODULE") {
		t.Errorf("got %v", err)
	}
}
