package lanegrpc

import (
	"context"
	"testing"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"

	"abt2.dev/lane"
	"abt2.dev/lane/route"
)

// AllocationsPerPick picks for one call again and again, all instances of the
// module being connected.
func AllocationsPerPick(t *testing.T, ctx context.Context, l *lane.Lane, module string) float64 {
	p := picker{conns: map[*route.Instance]choice{}}
	for _, in := range l.Instances(module) {
		p.conns[in] = choice{state: connectivity.Ready, to: metadata.MD{toKey: in.To}}
	}
	call, ctx, err := client{l}.begin(ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	defer call.End()
	info := balancer.PickInfo{FullMethodName: "/s/m", Ctx: ctx}
	return testing.AllocsPerRun(1000, func() {
		picked, err := p.Pick(info)
		if err != nil {
			t.Fatal(err)
		}
		picked.Done(balancer.DoneInfo{})
	})
}
