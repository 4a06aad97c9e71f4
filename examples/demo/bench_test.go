package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/examples/demo/stage"
)

// newStage builds what a benchmark needs, and strikes it at the end.
func newStage(b *testing.B) *stage.Stage {
	b.Helper()
	s, err := stage.New(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), strikeLimit)
		defer cancel()
		if err := s.Strike(ctx); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkServerReady is from the server's start to its being ready, edge
// included, on a data folder that it has used before.
func BenchmarkServerReady(b *testing.B) {
	ctx := b.Context()
	s := newStage(b)
	restart := func() (ready time.Duration) {
		_, ready, err := s.Start(ctx)
		if err != nil {
			b.Fatal(err)
		}
		return ready
	}
	restart()
	var server, edge int64
	var slowest time.Duration
	for b.Loop() {
		b.StopTimer()
		if err := s.Down(ctx); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		slowest = max(slowest, restart())
		b.StopTimer()
		rssServer, rssEdge, err := s.Memory()
		if err != nil {
			b.Fatal(err)
		}
		server, edge = max(server, rssServer), max(edge, rssEdge)
		b.StartTimer()
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
	b.ReportMetric(float64(server)/1e6, "server-MB")
	b.ReportMetric(float64(edge)/1e6, "edge-MB")
}

const (
	benchRate     = 2000
	benchSwitches = 20
)

// BenchmarkCommit switches a product of 5 modules × 2 instances, each of which
// is replaced, back and forth under constant load.
func BenchmarkCommit(b *testing.B) {
	ctx := b.Context()
	s := newStage(b)
	if _, _, err := s.Start(ctx); err != nil {
		b.Fatal(err)
	}
	if err := seasons(ctx, s); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var r abt2.DrillReport
		// Half of the requests go through three modules, half through one.
		out, err := s.Ask(ctx, "drill", op, "--yes", "--json", fmt.Sprintf("--rate=%d", benchRate), "--duration=10s", fmt.Sprintf("--switches=%d", benchSwitches),
			"--path=/json", "--path=/api/where", "--path=/api/products", "--path=/api/where")
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(out, &r); err != nil {
			b.Fatal(err)
		}
		for _, c := range r.Complaints {
			b.Log(c)
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(float64(r.Switches.Commits+r.Switches.Rollbacks), "switches")
		b.ReportMetric(ms(r.Switches.Flipped.P50), "switch-p50-ms")
		b.ReportMetric(ms(r.Switches.Flipped.Max), "switch-max-ms")
		b.ReportMetric(float64(r.Load.Requests), "requests")
		b.ReportMetric(float64(r.Load.Requests)/r.Took.Seconds(), "requests/s")
		b.ReportMetric(float64(r.Load.Failed), "failed")
		b.ReportMetric(float64(r.Load.Mixed), "mixed")
		b.ReportMetric(ms(r.Load.Outside.P50), "latency-p50-ms")
		b.ReportMetric(ms(r.Load.Outside.P99), "latency-p99-ms")
	}
}
