package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"abt2.dev/lane/feedpb"
)

// breaks ends connections without an answer, the first n times.
func breaks(n int64, then http.HandlerFunc) http.HandlerFunc {
	var met atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if met.Add(1) > n {
			then(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			c.Close()
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

func TestRetry(t *testing.T) {
	refuses := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Abt2-Refused", "to")
		w.WriteHeader(http.StatusMisdirectedRequest)
	}
	other := func(w http.ResponseWriter, r *http.Request) { // a module's own 421 is its answer
		w.WriteHeader(http.StatusMisdirectedRequest)
	}
	big := strings.Repeat("x", maxReplay+1)
	for _, c := range []struct {
		what      string
		method    string
		body      string
		instances []http.HandlerFunc
		status    int
	}{
		{"GET, broken once", "GET", "", []http.HandlerFunc{breaks(1, echo)}, 200},
		{"HEAD, broken once", "HEAD", "", []http.HandlerFunc{breaks(1, echo)}, 200},
		{"GET, broken twice", "GET", "", []http.HandlerFunc{breaks(2, echo)}, 502},
		{"GET with a body, broken", "GET", "body", []http.HandlerFunc{breaks(1, echo)}, 502},
		{"POST, broken", "POST", "", []http.HandlerFunc{breaks(1, echo)}, 502},
		{"DELETE, broken", "DELETE", "", []http.HandlerFunc{breaks(1, echo)}, 502},
		{"misdirected", "GET", "", []http.HandlerFunc{refuses, echo}, 200},
		{"misdirected with a body", "POST", "body", []http.HandlerFunc{refuses, refuses, refuses, echo}, 200},
		{"misdirected everywhere", "POST", "body", []http.HandlerFunc{refuses, refuses}, 503},
		{"misdirected with a body too large to keep", "POST", big, []http.HandlerFunc{refuses, refuses}, 503},
		{"a module's own 421", "GET", "", []http.HandlerFunc{other}, 421},
		{"500", "GET", "", []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }}, 500},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := newTestEdge(t, nil)
			var addresses []string
			for _, h := range c.instances {
				addresses = append(addresses, module(t, h))
			}
			e.mustApply(t, routesTo(1, addresses...))
			for range 5 {
				res, body := send(t, c.method, e.url, nil, c.body)
				if res.StatusCode != c.status {
					t.Errorf("status %d, want %d (%s)", res.StatusCode, c.status, body)
				}
				if c.status == 200 && c.method != "HEAD" && body != c.body {
					t.Errorf("body %q came back as %q", c.body, body)
				}
				if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				if strings.Contains(c.what, "broken") {
					break // the instance mends itself
				}
			}
			until(t, func() bool { return e.metrics.inFlight.Load() == 0 })
			snapshot := e.routes.Load()
			for _, id := range []uint64{1, 2} {
				env, err := snapshot.Environment(id)
				if err != nil {
					t.Fatal(err)
				}
				for _, in := range env.Version("web").Instances {
					if n := in.InFlight(); n != 0 {
						t.Errorf("%d requests are still counted at %s", n, in.ID)
					}
				}
			}
			if carried := e.carrier.Carried(); len(carried) != 0 {
				t.Errorf("%v is still carried", carried)
			}
		})
	}
}

// slowSource is a body that tells when it is being read, and gives what it is told.
type slowSource struct {
	asked chan struct{}
	gives chan string
}

func (s slowSource) Read(p []byte) (int, error) {
	s.asked <- struct{}{}
	text, ok := <-s.gives
	if !ok {
		return 0, io.EOF
	}
	return copy(p, text), nil
}

func TestReplayBodyIsReadByOneAttempt(t *testing.T) {
	for _, c := range []struct {
		what, text string // read while the attempt is replaced
		want       string // by the attempt that replaced it
		err        error
	}{
		{"little", "gun", "begun", nil},
		{"more than is kept", strings.Repeat("x", maxReplay), "", errSuperseded},
	} {
		src := slowSource{make(chan struct{}), make(chan string)}
		b := newReplayBody(src, -1, nil)
		first, _ := b.attempt()
		type result struct {
			n   int
			err error
		}
		read := make(chan result, 1)
		readFirst := func() {
			go func() {
				n, err := first.Read(make([]byte, 2*maxReplay))
				read <- result{n, err}
			}()
			<-src.asked
		}
		readFirst()
		src.gives <- "be"
		if r := <-read; r != (result{2, nil}) {
			t.Fatalf("%s: the first attempt read %+v", c.what, r)
		}
		readFirst()
		second, ok := b.attempt() // while the first is still reading
		if !ok {
			t.Fatalf("%s: a short body could not be sent again", c.what)
		}
		src.gives <- c.text
		if r := <-read; r != (result{0, errSuperseded}) {
			t.Errorf("%s: the first attempt read on: %+v", c.what, r)
		}
		go func() {
			for range src.asked {
				close(src.gives)
			}
		}()
		got, err := io.ReadAll(second)
		if c.err == nil && string(got) != c.want || err != c.err {
			t.Errorf("%s: the second attempt read %.10q, error %v; want %q, %v", c.what, got, err, c.want, c.err)
		}
		close(src.asked)
		b.drop()
		if _, err := second.Read(make([]byte, 1)); err != errSuperseded {
			t.Errorf("%s: after the end the body was read: error %v", c.what, err)
		}
	}
}

func TestFallbackIsCounted(t *testing.T) {
	e := newTestEdge(t, nil)
	r := routesTo(1, module(t, echo))
	r.Table.Versions[3].Instances, r.Table.Versions[3].Fallback = nil, "online"
	e.mustApply(t, r)
	res, _ := e.get(t, "/", http.Header{"Abt2-Token": {string(preview)}})
	if got := res.Header.Get("Abt2-Served"); res.StatusCode != 200 || got != "2 preview; fallback=web@1" {
		t.Errorf("status %d, Abt2-Served %q", res.StatusCode, got)
	}
	until(t, func() bool { return e.metrics.inFlight.Load() == 0 })
	if line := `abt2_edge_fallbacks_total{module="web",product="default"} 1`; !strings.Contains(e.scrape(t), line) || e.report().GetFallbacks() != 1 {
		t.Errorf("the metrics lack %s, or the report: %v", line, e.report())
	}
}

func TestForwardsAnnouncedTrailers(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1, module(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	})))
	c, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Abt2-Env\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\nAbt2-Env: 2\r\nX-Other: 8\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil || !bytes.Contains(b, []byte("map[X-Sum:[7]]")) {
		t.Errorf("answer %q, error %v; want the announced trailer alone", b, err)
	}
}

func TestMetrics(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(7, module(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" {
			w.WriteHeader(500)
		}
	})))
	token := http.Header{"Abt2-Token": {string(preview)}}
	e.get(t, "/", nil)
	e.get(t, "/", nil)
	e.get(t, "/", token)
	e.get(t, "/fail", token)
	e.get(t, "/.abt2/nothing", nil)
	until(t, func() bool { return e.metrics.inFlight.Load() == 0 })
	text := e.scrape(t)
	for _, line := range []string{
		`abt2_edge_requests_total{code="2xx",module="web",product="default",role="online"} 2`,
		`abt2_edge_requests_total{code="2xx",module="web",product="default",role="preview"} 1`,
		`abt2_edge_requests_total{code="4xx",module="",product="",role=""} 1`,
		`abt2_edge_requests_total{code="5xx",module="web",product="default",role="preview"} 1`,
		`abt2_edge_failures_total{by="module",module="web",product="default",role="preview"} 1`,
		`abt2_edge_request_duration_seconds_count{code="2xx",module="web",product="default",role="online"} 2`,
		`abt2_edge_revision_applied 7`,
		`abt2_edge_feed_connected 1`,
		`abt2_edge_requests_in_flight 0`,
		`abt2_edge_retries_total{reason="refused"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the metrics lack %s:\n%s", line, text)
		}
	}
	if strings.Contains(text, "order") {
		t.Error("a module that no request went to has series")
	}
}

// scrape returns the metrics as the edge's keeper gets them.
func (e *testEdge) scrape(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	e.control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// lockedBuffer is a log that is read while it may be written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAccessLog(t *testing.T) {
	var out lockedBuffer
	e := newTestEdge(t, func(c *Config) {
		c.AccessLog = true
		c.Log = slog.New(slog.NewJSONHandler(&out, nil))
	})
	e.mustApply(t, routesTo(1, module(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })))
	e.get(t, "/a/b?secret=1", http.Header{"Abt2-Token": {string(preview)}})
	e.get(t, "/.abt2/enter?token="+string(preview), nil)
	e.get(t, "/.abt2/enter?token="+string(unknown), nil)
	until(t, func() bool { return e.metrics.inFlight.Load() == 0 })
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == "request" {
			lines = append(lines, m)
		}
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	for k, want := range map[string]any{
		"method": "GET", "path": "/a/b", "status": 200., "bytes": 5., "product": "default", "env": 2., "role": "preview", "module": "web", "instance": "web-2-a",
	} {
		if lines[0][k] != want {
			t.Errorf("%s is %v, want %v", k, lines[0][k], want)
		}
	}
	for _, secret := range []string{"secret", string(preview), string(unknown)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
}

func TestApplyRefusesWhole(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(2))
	for what, edit := range map[string]func(*feedpb.EdgeRoutes){
		"older":                 func(r *feedpb.EdgeRoutes) { r.Table.Mark.Revision = 1 },
		"token of nowhere":      func(r *feedpb.EdgeRoutes) { r.Tokens[string(unknown.Digest())] = 9 },
		"token that is none":    func(r *feedpb.EdgeRoutes) { r.Tokens["secret"] = 1 },
		"version that is none":  func(r *feedpb.EdgeRoutes) { r.Table.Environments[0].Versions[0] = "gone@1" },
		"online that is absent": func(r *feedpb.EdgeRoutes) { r.Table.Products[0].Online = 3 },
	} {
		r := routesTo(3)
		edit(r)
		if err := e.apply(r); err == nil {
			t.Errorf("%s: applied", what)
		}
		if got := e.served().GetTable().GetMark().GetRevision(); got != 2 {
			t.Errorf("%s: revision %d is served, want 2", what, got)
		}
	}
	e.mustApply(t, routesTo(3))
}

func TestClientThatLeavesIsNoFailure(t *testing.T) {
	e := newTestEdge(t, nil)
	arrived, gone := make(chan struct{}), make(chan struct{})
	e.mustApply(t, routesTo(1, module(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done() // the edge passes the news on
		close(gone)
	})))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", e.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	go func() { <-arrived; cancel() }()
	if _, err := transport.RoundTrip(req); err == nil {
		t.Fatal("an answer came")
	}
	<-gone
	until(t, func() bool { return e.metrics.inFlight.Load() == 0 })
	if text := e.scrape(t); strings.Contains(text, "abt2_edge_failures_total{") || !strings.Contains(text, `code="4xx"`) {
		t.Errorf("counted as a failure:\n%s", text)
	}
}
