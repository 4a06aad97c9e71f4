package disconf_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"abt2.dev"
	sdk "abt2.dev/lane/disconf"
	"abt2.dev/lane/zookeeper/zktest"
)

// BenchmarkPush switches back and forth while instances follow, with three
// ZooKeeper servers on this machine. p99-ms is of the slowest instance of each
// switch: from the switch until the server has read its report.
func BenchmarkPush(b *testing.B) {
	for _, instances := range []int{1, 100} {
		b.Run(fmt.Sprintf("instances=%d", instances), func(b *testing.B) { push(b, instances) })
	}
}

func push(b *testing.B, instances int) {
	c := open(b, zktest.Start(b, 3), "ours")
	address := listen(b, c)
	revision := uint64(1)
	apply(b, c, table(revision, 42))
	var values []*sdk.Value
	for i := range instances {
		instance, err := sdk.Open(testContext(b), sdk.Config{
			Server: address, App: "default", Version: "1_0_0_0", Env: "online", Name: fmt.Sprintf("10.0.0.1_%d_x", i), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(instance.Close)
		v, err := instance.Item(testContext(b), "abt2.online", nil)
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, v)
	}
	var took []time.Duration
	for b.Loop() {
		revision++
		online := abt2.EnvironmentID(42 + revision%2)
		began := time.Now()
		if err := c.Apply(context.Background(), table(revision, online)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		for _, v := range values {
			if got := v.Get(); got != fmt.Sprint(online) {
				b.Fatalf("an instance has %s, want %d: %v", got, online, v.Err())
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
}
