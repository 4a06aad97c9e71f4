package lanegrpc_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"abt2.dev/lane"
	"abt2.dev/lane/lanegrpc"
)

// TestOutside has modules at static addresses: a stamp that came goes on, none
// is made.
func TestOutside(t *testing.T) {
	a, b := listen(t), listen(t)
	l, err := lane.Join(testContext(t), lane.Static(map[string][]string{"order": {a.address, b.address}}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close(testContext(t)) }()
	for name, ln := range map[string]*listener{"a": a, "b": b} {
		srv := grpc.NewServer(lanegrpc.ServerOptions(l)...)
		testpb.RegisterTestServiceServer(srv, &service{name: name})
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(ln) }()
		defer func() { srv.Stop(); <-done }()
	}
	c := dial(t, l, "order")
	for _, k := range kinds {
		for env, want := range map[uint64]string{0: " in 0, user , baggage ", 42: " in 42, user , baggage 42"} {
			seen := map[string]bool{}
			for ctx := lane.WithEnvironment(testContext(t), env); len(seen) < 2 && ctx.Err() == nil; { // both are called in turn
				got, err := k.call(ctx, c)
				name, rest := got[:min(1, len(got))], got[min(1, len(got)):]
				if err != nil || rest != want {
					t.Fatalf("%s in %d: %q, %v", k.name, env, got, err)
				}
				seen[name] = true
			}
		}
	}
	_, err = unary(testContext(t), dial(t, l, "stock"))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), `module "stock" has no static address`) {
		t.Errorf("an address that nobody has set: %v", err)
	}
}
