package navi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"abt2.dev/lane"
)

// benchCalls are ways to ask the same question over loopback: JSON posted by
// net/http, and Navi outside abt2 and within it.
type benchCalls struct {
	plain, outside, within func(b *testing.B)
}

// newBenchCalls is the one test that has only this package at both ends: it
// measures.
func newBenchCalls(b *testing.B) benchCalls {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ ID int64 }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(order{in.ID, "book"})
	}))
	b.Cleanup(srv.Close)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	b.Cleanup(transport.CloseIdleConnections)
	plain := &http.Client{Transport: transport, Timeout: patience}

	static := outside(b)
	out := newClient(b, outside(b, serve(b, static)))
	ln := newFeedServer(b)
	in := newClient(b, ln)
	ctx := lane.WithEnvironment(context.Background(), 42)

	return benchCalls{
		plain: func(b *testing.B) {
			body, err := json.Marshal(struct{ ID int64 }{7})
			if err != nil {
				b.Fatal(err)
			}
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL, bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := plain.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			defer res.Body.Close()
			body, err = io.ReadAll(res.Body)
			if err != nil {
				b.Fatal(err)
			}
			var o order
			if err := json.Unmarshal(body, &o); err != nil || o.ID != 7 {
				b.Fatal(o, err)
			}
		},
		outside: func(b *testing.B) {
			var o order
			if err := out.Call(context.Background(), get, &o, 7); err != nil || o.ID != 7 {
				b.Fatal(o, err)
			}
		},
		within: func(b *testing.B) {
			var o order
			if err := in.Call(ctx, get, &o, 7); err != nil || o.ID != 7 {
				b.Fatal(o, err)
			}
		},
	}
}

// newFeedServer serves order@3 within abt2 and returns a caller's lane.
func newFeedServer(b *testing.B) *lane.Lane {
	l := newFeed(b, nil, nil).join(b, "order@3", "order-3-1")
	return newFeed(b, []string{serve(b, l)}, nil).join(b, "web@1", "web-1")
}

// BenchmarkCall shows what a call costs, client and server together.
func BenchmarkCall(b *testing.B) {
	c := newBenchCalls(b)
	for name, call := range map[string]func(*testing.B){"plain": c.plain, "outside": c.outside, "within": c.within} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call(b)
			}
		})
	}
}

// BenchmarkCallBesidePlain makes calls each way in turn, in batches so short
// that all meet the same noise; the figures are medians of batches.
func BenchmarkCallBesidePlain(b *testing.B) {
	c := newBenchCalls(b)
	const batch = 200
	calls := []func(*testing.B){c.plain, c.outside, c.within}
	took, cpu := make([][]time.Duration, len(calls)), make([][]time.Duration, len(calls))
	for _, call := range calls {
		for range batch {
			call(b)
		}
	}
	for b.Loop() {
		for i, call := range calls {
			began, before := time.Now(), cpuTime(b)
			for range batch {
				call(b)
			}
			took[i], cpu[i] = append(took[i], time.Since(began)), append(cpu[i], cpuTime(b)-before)
		}
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2])
	}
	b.ReportMetric(median(took[1])/median(took[0]), "ratio")
	b.ReportMetric(median(cpu[1])/median(cpu[0]), "cpu-ratio")
	b.ReportMetric(median(took[2])/median(took[0]), "within-ratio")
	b.ReportMetric(median(cpu[2])/median(cpu[0]), "within-cpu-ratio")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
