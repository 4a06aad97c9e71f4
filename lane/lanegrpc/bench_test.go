package lanegrpc_test

import (
	"context"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"abt2.dev/lane"
	"abt2.dev/lane/lanegrpc"
)

func TestPickAllocatesNothing(t *testing.T) {
	f := newFeed(t, tableOf(1, 42, map[string][]string{"order@3": {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}}, "42 online web@1 order@3"))
	l := f.join(t, "web@1", "web-1")
	if n := lanegrpc.AllocationsPerPick(t, lane.WithEnvironment(testContext(t), 42), l, "order"); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// benchCalls are two ways to call the same two servers on loopback, with two
// foreign baggage members: gRPC's own round_robin, and ours.
type benchCalls struct {
	plain, abt2       testpb.TestServiceClient
	plainCtx, abt2Ctx context.Context
}

type benchService struct {
	testpb.UnimplementedTestServiceServer
}

func (benchService) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{}, nil
}

func newBenchCalls(b *testing.B) benchCalls {
	var addresses []string
	var listeners []net.Listener
	for range 2 {
		ours, plain := listen(b), listen(b)
		addresses = append(addresses, ours.address)
		listeners = append(listeners, ours, plain)
	}
	f := newFeed(b, tableOf(1, 42, map[string][]string{"order@3": addresses}, "42 online web@1 order@3"))
	var turns []resolver.Endpoint
	for i, ln := range listeners {
		var options []grpc.ServerOption
		if i%2 == 0 {
			options = lanegrpc.ServerOptions(f.join(b, "order@3", instance("order@3", i/2)))
		} else {
			turns = append(turns, resolver.Endpoint{Addresses: []resolver.Address{{Addr: ln.Addr().String()}}})
		}
		srv := grpc.NewServer(options...)
		testpb.RegisterTestServiceServer(srv, benchService{})
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(ln) }()
		b.Cleanup(func() { srv.Stop(); <-done })
	}

	byTurns := manual.NewBuilderWithScheme("turns")
	byTurns.InitialState(resolver.State{Endpoints: turns})
	conn, err := grpc.NewClient("turns:///order", grpc.WithResolvers(byTurns), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })

	ctx := metadata.AppendToOutgoingContext(context.Background(), "baggage", "user=7,tenant=acme")
	user, _ := baggage.NewMember("user", "7")
	tenant, _ := baggage.NewMember("tenant", "acme")
	bag, _ := baggage.New(user, tenant)
	c := benchCalls{
		plain:    testpb.NewTestServiceClient(conn),
		abt2:     dial(b, f.join(b, "web@1", "web-1"), "order"),
		plainCtx: ctx,
		abt2Ctx:  lane.WithEnvironment(baggage.ContextWithBaggage(ctx, bag), 42),
	}
	c.calls(b, c.plainCtx, c.plain, 100)
	c.calls(b, c.abt2Ctx, c.abt2, 100)
	return c
}

// calls makes a number of calls and returns the time and the processor's time
// that client and servers took together.
func (benchCalls) calls(b *testing.B, ctx context.Context, c testpb.TestServiceClient, n int) (took, cpu time.Duration) {
	began, before := time.Now(), cpuTime(b)
	for range n {
		if _, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began), cpuTime(b) - before
}

// BenchmarkUnary shows what a call costs, client and server together.
func BenchmarkUnary(b *testing.B) {
	c := newBenchCalls(b)
	run := func(ctx context.Context, client testpb.TestServiceClient) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		}
	}
	b.Run("round_robin", run(c.plainCtx, c.plain))
	b.Run("abt2", run(c.abt2Ctx, c.abt2))
}

// BenchmarkUnaryBesideRoundRobin makes calls both ways in turn, in batches so
// short that both meet the same noise; the figures are medians of batches.
func BenchmarkUnaryBesideRoundRobin(b *testing.B) {
	c := newBenchCalls(b)
	const batch = 200
	var plain, abt2 struct{ took, cpu []time.Duration } // by batch
	for b.Loop() {
		took, cpu := c.calls(b, c.plainCtx, c.plain, batch)
		plain.took, plain.cpu = append(plain.took, took), append(plain.cpu, cpu)
		took, cpu = c.calls(b, c.abt2Ctx, c.abt2, batch)
		abt2.took, abt2.cpu = append(abt2.took, took), append(abt2.cpu, cpu)
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / batch
	}
	b.ReportMetric(median(abt2.took)/median(plain.took), "ratio")
	b.ReportMetric(median(abt2.cpu)/median(plain.cpu), "cpu-ratio")
	b.ReportMetric(median(abt2.cpu)-median(plain.cpu), "more-cpu-ns/call")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
