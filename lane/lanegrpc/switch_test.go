package lanegrpc_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"abt2.dev/lane"
)

// TestSwitches replaces order 20 times while calls of all kinds are under way:
// each new version is prepared, confirmed, online, and the old one taken down.
func TestSwitches(t *testing.T) {
	const switches = 20
	addresses := map[string][]string{}
	start := func(f *feed, v int) (*listener, *grpc.Server) {
		ln := listen(t)
		version := fmt.Sprintf("order@%d", v)
		addresses[version] = []string{ln.address}
		return ln, f.serve(t, ln, version, instance(version, 0))
	}
	f := newFeed(t, tableOf(1, 1, nil, "1 online web@1"))
	_, running := start(f, 1)
	revision := uint64(2)
	publish := func(environments ...string) {
		revision++
		f.publish(tableOf(revision, switches+1, addresses, environments...))
		f.confirmed(t, "web-1", revision)
	}
	l := f.join(t, "web@1", "web-1")
	publish("1 online web@1 order@1")
	c := dial(t, l, "order")
	if _, err := unary(testContext(t), c); err != nil {
		t.Fatal(err)
	}

	var calls atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, k := range kinds {
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					got, err := k.call(testContext(t), c)
					var version, env int
					if err == nil {
						_, err = fmt.Sscanf(got, "order@%d/", &version)
					}
					if _, rest, ok := strings.Cut(got, " in "); ok && err == nil {
						_, err = fmt.Sscanf(rest, "%d,", &env)
					}
					if err != nil || version != env { // environment N names order@N
						t.Errorf("%s: %q, %v", k.name, got, err)
					}
					calls.Add(1)
				}
			})
		}
	}
	for n := 1; n <= switches; n++ {
		old, next := fmt.Sprintf("web@1 order@%d", n), fmt.Sprintf("web@1 order@%d", n+1)
		ln, srv := start(f, n+1)
		publish(fmt.Sprintf("%d online %s", n, old), fmt.Sprintf("%d preview %s", n+1, next))
		if ln.accepted.Load() == 0 {
			t.Errorf("switch %d: confirmed without a connection to the new instance", n)
		}
		publish(fmt.Sprintf("%d backup %s", n, old), fmt.Sprintf("%d online %s", n+1, next))
		for before := calls.Load(); calls.Load() < before+20; { // some calls in the new environment
			if _, err := unary(testContext(t), c); err != nil {
				t.Error(err)
			}
		}
		for l.Stats().Carried[uint64(n)] > 0 { // as a clean waits for it
			if _, err := unary(testContext(t), c); err != nil {
				t.Error(err)
			}
		}
		delete(addresses, fmt.Sprintf("order@%d", n))
		publish(fmt.Sprintf("%d online %s", n+1, next))
		running.Stop()
		running = srv
	}
	close(done)
	wg.Wait()
	t.Logf("%d calls over %d switches", calls.Load(), switches)
	if s := l.Stats(); s.Retried != 0 || len(s.Carried) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestCallsOutliveTheTable: a stream goes on at an instance that has left the table.
func TestCallsOutliveTheTable(t *testing.T) {
	lns, addresses := listenAll(t, "order@3", "order@4")
	f := newFeed(t, tableOf(1, 43, addresses, "42 online web@1 order@3", "43 preview web@1 order@4"))
	for v, ln := range lns {
		f.serve(t, ln, v, instance(v, 0))
	}
	c := dial(t, f.join(t, "web@1", "web-1"), "order")
	s, err := c.FullDuplexCall(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	f.publish(tableOf(2, 43, addresses, "43 online web@1 order@4"))
	f.confirmed(t, "web-1", 2)
	if got, err := unary(testContext(t), c); err != nil || !strings.HasPrefix(got, "order@4/order-4-a in 43,") {
		t.Errorf("a new call: %q, %v", got, err)
	}
	for range 3 {
		if err := s.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Recv(); err != nil || !strings.HasPrefix(string(m.GetPayload().GetBody()), "order@3/order-3-a in 42,") {
			t.Fatalf("the old stream: %v, %v", m, err)
		}
	}
	_ = s.CloseSend()
}

// TestConfirmation: a table is confirmed when its new instances are connected or
// have been tried, and one that says nothing does not hold it up for ever.
func TestConfirmation(t *testing.T) {
	lns, addresses := listenAll(t, "order@1")
	f := newFeed(t, tableOf(1, 1, addresses, "1 online web@1 order@1"))
	f.serve(t, lns["order@1"], "order@1", "order-1-a")
	c := dial(t, f.join(t, "web@1", "web-1"), "order")
	if _, err := unary(testContext(t), c); err != nil {
		t.Fatal(err)
	}
	dead, silent := refusing(t), listen(t)
	var held sync.WaitGroup
	defer held.Wait()
	held.Go(func() { hold(silent) })
	defer silent.Close()
	for i, address := range []string{dead, silent.address} {
		addresses["order@2"] = append(addresses["order@2"], address)
		revision := uint64(i + 2)
		f.publish(tableOf(revision, 2, addresses, "1 online web@1 order@1", "2 preview web@1 order@2"))
		f.confirmed(t, "web-1", revision)
	}
	f.publish(tableOf(4, 2, addresses, "1 online web@1 order@1", "2 preview web@1 order@2")) // nothing is new
	f.confirmed(t, "web-1", 4)
	if _, err := unary(testContext(t), c); err != nil {
		t.Error(err)
	}
}

// hold accepts connections and says nothing on them until the listener is closed.
func hold(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
	}
}

// TestInstanceEnds: calls go to the instances that are left, before the table tells.
func TestInstanceEnds(t *testing.T) {
	a, b := listen(t), listen(t)
	f := newFeed(t, tableOf(1, 1, map[string][]string{"order@1": {a.address, b.address}}, "1 online web@1 order@1"))
	first := f.serve(t, a, "order@1", "order-1-a")
	f.serve(t, b, "order@1", "order-1-b")
	c := dial(t, f.join(t, "web@1", "web-1"), "order")
	seen := map[string]bool{}
	for ctx := testContext(t); len(seen) < 2 && ctx.Err() == nil; {
		got, err := unary(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(got, " ")
		seen[name] = true
	}
	first.GracefulStop()
	for range 50 {
		if got, err := unary(lane.WithEnvironment(testContext(t), 1), c); err != nil || !strings.HasPrefix(got, "order@1/order-1-b ") {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// TestConnectionsAreKept: a connection is made to what no environment in use by
// this process names, and to all instances at once.
func TestConnectionsAreKept(t *testing.T) {
	lns, addresses := listenAll(t, "order@1", "order@2")
	f := newFeed(t, tableOf(1, 2, addresses, "1 online web@1 order@1", "2 retiring web@1 order@2"))
	for v, ln := range lns {
		f.serve(t, ln, v, instance(v, 0))
	}
	c := dial(t, f.join(t, "web@1", "web-1"), "order")
	for _, env := range []uint64{1, 2, 1, 2} {
		if _, err := unary(lane.WithEnvironment(context.WithoutCancel(testContext(t)), env), c); err != nil {
			t.Fatal(err)
		}
	}
	for v, ln := range lns {
		if n := ln.accepted.Load(); n != 1 {
			t.Errorf("%s: %d connections", v, n)
		}
	}
}
