package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/examples/demo/load"
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
	ask := func(args ...string) []byte {
		b.Helper()
		out, err := s.Ask(ctx, args...)
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	if _, _, err := s.Start(ctx); err != nil {
		b.Fatal(err)
	}
	for i, season := range []string{"spring", "summer"} {
		file, err := s.Release(ctx, season, builds(season)...)
		if err != nil {
			b.Fatal(err)
		}
		ask("start", "create", op)
		ask("config", "put", op, "--from="+file, fmt.Sprintf("--init=%v", i == 0))
		ask("ship", "all", op)
		if i == 0 {
			ask("commit", op)
			ask("clean", op, "--yes")
		}
	}
	var status abt2.Status
	if err := json.Unmarshal(ask("status", "--json"), &status); err != nil {
		b.Fatal(err)
	}
	edge := status.Edges[0]
	plan := load.Plan{
		Rate: benchRate, Workers: 128, Timeout: 10 * time.Second,
		Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
		// Half of the requests go through three modules, half through one.
		Targets: []load.Target{
			{Name: "page", URL: edge + "/json"}, {Name: "where", URL: edge + "/api/where"},
			{Name: "products", URL: edge + "/api/products"}, {Name: "where", URL: edge + "/api/where"},
		},
		Judge: load.Judge(status.Online, status.Preview),
	}
	b.ResetTimer()
	for b.Loop() {
		var times []time.Duration
		begun := time.Now()
		l := load.Start(ctx, plan)
		b.Cleanup(func() { l.Stop() }) // where a step fails
		for i := range benchSwitches {
			if err := l.Await(ctx, benchRate/2); err != nil {
				b.Fatal(err)
			}
			var o abt2.Outcome
			if err := json.Unmarshal(ask([]string{"commit", "rollback"}[i%2], op, "--json"), &o); err != nil {
				b.Fatal(err)
			}
			times = append(times, o.Switched)
		}
		if err := l.Await(ctx, benchRate/2); err != nil {
			b.Fatal(err)
		}
		r := l.Stop()
		took := time.Since(begun)
		for _, c := range r.Complaints {
			b.Log(c)
		}
		slices.Sort(times)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(float64(len(times)), "switches")
		b.ReportMetric(ms(times[len(times)/2]), "switch-p50-ms")
		b.ReportMetric(ms(times[len(times)-1]), "switch-max-ms")
		b.ReportMetric(float64(r.Requests), "requests")
		b.ReportMetric(float64(r.Requests)/took.Seconds(), "requests/s")
		b.ReportMetric(float64(r.Failed), "failed")
		b.ReportMetric(float64(r.Mixed), "mixed")
		b.ReportMetric(ms(r.Quantile(50)), "latency-p50-ms")
		b.ReportMetric(ms(r.Quantile(99)), "latency-p99-ms")
	}
}

// builds are all five modules, different in each season, two instances of each.
func builds(season string) []stage.Build {
	var out []stage.Build
	for _, m := range []string{"web", "api", "order", "stock"} {
		out = append(out, stage.Build{Module: m, Config: "env: {SEASON: " + season + "}\n"})
	}
	return append(out, stage.Build{Module: "report", Config: "args: [" + season + "]\ninstances: 2\n"})
}
