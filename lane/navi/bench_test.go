package navi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"abt2.dev/lane"
)

// benchCalls are ways to ask the same question over loopback: net/http and
// encoding/json with the bodies that Navi has, and with the question alone; Navi
// outside abt2 and within it.
type benchCalls struct {
	plain, bare, outside, within func(b *testing.B)
}

// plainCall and plainAnswer are Navi's bodies, as a program would declare them
// that has one method.
type plainCall struct {
	TraceID    int64    `json:"traceId"`
	Method     string   `json:"method"`
	Parameters []int64  `json:"parameters"`
	Types      []string `json:"paramterTypes"`
	AppID      *string  `json:"appId"`
	Token      *string  `json:"token"`
}

type plainAnswer struct {
	TraceID int64     `json:"traceId"`
	Result  order     `json:"result"`
	Status  int       `json:"status"`
	Error   *struct{} `json:"error"`
}

// plainServer answers what fn makes of the question.
func plainServer[Q, A any](b *testing.B, fn func(Q) A) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in Q
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(fn(in))
	}))
	b.Cleanup(srv.Close)
	return srv.URL
}

// post asks a plain server.
func post(b *testing.B, client *http.Client, url string, question, answer any) {
	body, err := json.Marshal(question)
	if err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		b.Fatal(err)
	}
}

// newBenchCalls is the one test that has only this package at both ends: it
// measures.
func newBenchCalls(b *testing.B) benchCalls {
	type id struct{ ID int64 }
	bare := plainServer(b, func(q id) order { return order{q.ID, "book"} })
	same := plainServer(b, func(q plainCall) plainAnswer {
		return plainAnswer{TraceID: q.TraceID, Result: order{q.Parameters[0], "book"}}
	})
	transport := http.DefaultTransport.(*http.Transport).Clone()
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: patience}

	static := outside(b)
	out := newClient(b, outside(b, serve(b, static)))
	ln := newFeedServer(b)
	in := newClient(b, ln)
	ctx := lane.WithEnvironment(context.Background(), 42)

	return benchCalls{
		plain: func(b *testing.B) {
			var out plainAnswer
			post(b, client, same, plainCall{TraceID: rand.Int64(), Method: "get", Parameters: []int64{7}, Types: get.Types}, &out)
			if out.Result.ID != 7 {
				b.Fatal(out)
			}
		},
		bare: func(b *testing.B) {
			var o order
			post(b, client, bare, id{7}, &o)
			if o.ID != 7 {
				b.Fatal(o)
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
	for name, call := range map[string]func(*testing.B){"plain": c.plain, "bare": c.bare, "outside": c.outside, "within": c.within} {
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
	calls := []func(*testing.B){c.plain, c.outside, c.within, c.bare}
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
	b.ReportMetric(median(took[1])/median(took[3]), "bare-ratio")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
