package load_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/examples/demo/load"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func env(id abt2.EnvironmentID, versions ...string) *abt2.EnvironmentStatus {
	e := &abt2.EnvironmentStatus{ID: id, Modules: map[abt2.ModuleName]abt2.VersionID{}}
	for _, s := range versions {
		v, err := abt2.ParseVersionID(s)
		if err != nil {
			panic(err)
		}
		e.Modules[v.Module] = v
	}
	return e
}

func TestJudge(t *testing.T) {
	judge := load.Judge(env(4, "web@1", "order@1"), env(5, "web@2", "order@1"))
	for _, c := range []struct{ body, want string }{
		{`{"hops":[{"module":"web","version":"web@1","environment":4},{"module":"order","version":"order@1","environment":4}]}`, ""},
		{`{"hops":[{"module":"web","version":"web@2","environment":5},{"module":"order","version":"order@1","environment":5}]}`, ""},
		{`{"hops":[{"module":"web","version":"web@1","environment":4},{"module":"order","version":"order@1","environment":5}]}`, "mixed: environments 4 and 5"},
		{`{"hops":[{"module":"web","version":"web@1","environment":5},{"module":"order","version":"order@1","environment":5}]}`, "mixed: web@1 answered in environment 5, which names web@2"},
		{`{"hops":[{"module":"web","version":"web@1","environment":6}]}`, "stamped with environment 6"},
		{`{"hops":[]}`, "without hops"},
		{`<html>`, "not the shop's answer"},
	} {
		err := judge([]byte(c.body))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.body, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.body, err, c.want)
		}
	}
}

// Every tenth answer fails and every fifth is mixed; a load counts each once,
// and sends no request twice.
func TestLoadCounts(t *testing.T) {
	var served atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n := served.Add(1); {
		case n%10 == 0:
			http.Error(w, "no", http.StatusServiceUnavailable)
		case n%5 == 0:
			_, _ = w.Write([]byte("mixed"))
		}
	}))
	defer srv.Close()
	l := load.Start(context.Background(), load.Plan{
		Rate: 2000, Workers: 4, Timeout: time.Minute, Client: srv.Client(),
		Targets: []load.Target{{Name: "page", URL: srv.URL}},
		Judge: func(body []byte) error {
			if len(body) > 0 {
				return load.ErrMixed
			}
			return nil
		},
	})
	if err := l.Await(context.Background(), 100); err != nil {
		t.Fatal(err)
	}
	r := l.Stop()
	n := int(served.Load())
	if n < 100 || r.Requests != n || r.Failed != n/10 || r.Mixed != n/5-n/10 {
		t.Errorf("%d served, but %d requests, %d failed, %d mixed", n, r.Requests, r.Failed, r.Mixed)
	}
	if int64(r.Requests) != r.Latency.TotalCount() {
		t.Errorf("%d requests, %d latencies", r.Requests, r.Latency.TotalCount())
	}
	if len(r.Complaints) != 5 || !strings.Contains(strings.Join(r.Complaints, "\n"), "page: ") {
		t.Errorf("complaints: %q", r.Complaints)
	}
}

// One stalled answer delays every request that was due meanwhile, and all of
// them show it: the generator does not wait for the server with its clock.
func TestStallIsFeltByAllThatWereDue(t *testing.T) {
	const stalled = 20
	var served atomic.Int64
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if served.Add(1) == 1 {
			<-release
		}
	}))
	defer srv.Close()
	start := time.Now()
	l := load.Start(context.Background(), load.Plan{
		Rate: 1000, Workers: 1, Timeout: time.Minute, Client: srv.Client(),
		Targets: []load.Target{{Name: "page", URL: srv.URL}},
		Judge:   func([]byte) error { return nil },
	})
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	if err := l.Await(context.Background(), stalled); err != nil {
		t.Fatal(err)
	}
	r := l.Stop()
	if time.Since(start) < 100*time.Millisecond {
		t.Fatal("the stall was shorter than what the test relies on")
	}
	// The first twenty were due within 20 ms, and answered after 100 ms.
	slow := int64(0)
	for _, bar := range r.Latency.Distribution() {
		if bar.To >= 79_000 {
			slow += bar.Count
		}
	}
	if slow < stalled {
		t.Errorf("%d requests felt the stall, want at least %d", slow, stalled)
	}
}
