package lane_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/baggage"

	"abt2.dev/lane"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

func TestTransportFollowsTheStamp(t *testing.T) {
	old, online, preview := newBackend(t, "order@2"), newBackend(t, "order@3"), newBackend(t, "order@4")
	l, _ := joinTable(t, tableOf(1, 43, map[string][]string{
		"order@2": {old.address}, "order@3": {online.address}, "order@4": {preview.address},
	}, "41 backup web@1 order@2", "42 online web@1 order@3", "43 preview web@1 order@4"))
	rt := l.Transport(nil)
	for env, want := range map[uint64]*backend{41: old, 42: online, 43: preview, 0: online} {
		req, err := http.NewRequestWithContext(lane.WithEnvironment(testContext(t), env), http.MethodGet, "http://order/x?y", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Baggage", "user=7,abt2.env=1")
		before := fmt.Sprint(req.Header, req.URL)
		got, err := do(t, rt, req)
		if err != nil {
			t.Fatalf("%d: %v", env, err)
		}
		if env == 0 {
			env = 42 // online names our version
		}
		version := got
		if h := want.header("Abt2-Env"); h != fmt.Sprint(env) {
			t.Errorf("%d: stamped %q", env, h)
		}
		if h := want.header("Baggage"); h != fmt.Sprintf("abt2.env=%d,user=7", env) {
			t.Errorf("%d: baggage %q", env, h)
		}
		if h := want.header("Abt2-To"); h != version+"/"+strings.Replace(version, "@", "-", 1)+"-a" {
			t.Errorf("%d: addressed to %q", env, h)
		}
		if h := want.header("Host"); h != "order" {
			t.Errorf("%d: host %q", env, h)
		}
		if after := fmt.Sprint(req.Header, req.URL); after != before {
			t.Errorf("%d: the request was changed from %s to %s", env, before, after)
		}
	}
	if n := l.Stats().Carried; len(n) != 0 {
		t.Errorf("carried after all answers were read: %v", n)
	}
}

func TestTransportCannotRoute(t *testing.T) {
	l, f := joinTable(t, tableOf(1, 43, nil, "42 online web@1 order@3", "43 preview web@1 order@4"))
	for _, tt := range []struct {
		env    uint64
		url    string
		reason route.Reason
	}{
		{42, "http://order/", route.NoInstance},
		{42, "http://stock/", route.NoModule},
		{41, "http://order/", route.Retired},
		{99, "http://order/", route.Unknown},
	} {
		body := &closeRecorder{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(lane.WithEnvironment(testContext(t), tt.env), http.MethodPost, tt.url, body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := do(t, l.Transport(nil), req); route.ReasonOf(err) != tt.reason {
			t.Errorf("%d %s: %v", tt.env, tt.url, err)
		}
		if !body.closed {
			t.Errorf("%d %s: the body was not closed", tt.env, tt.url)
		}
	}
	if f.fetches != 1 {
		t.Errorf("%d fetches, want one, for the unknown environment", f.fetches)
	}
}

type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

func TestTransportPassesOtherHosts(t *testing.T) {
	other := newBackend(t, "other")
	l, _ := joinTable(t, tableOf(1, 42, nil, "42 online web@1"))
	_, port, _ := net.SplitHostPort(other.address)
	for _, url := range []string{other.URL, "http://localhost:" + port} {
		got, err := get(t, lane.WithEnvironment(testContext(t), 42), l.Transport(nil), url)
		if got != "other" || err != nil || other.header("Abt2-Env") != "" {
			t.Errorf("%s: %q, %v, stamped %q", url, got, err, other.header("Abt2-Env"))
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestTransportTriesAnotherInstance has one instance that refuses connections
// or requests, and one that answers.
func TestTransportTriesAnotherInstance(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Abt2-Refused", "to")
		w.WriteHeader(http.StatusMisdirectedRequest)
	}))
	defer elsewhere.Close()
	silent := silentServer(t)
	once := func() io.Reader { return io.MultiReader(strings.NewReader("hello")) } // no GetBody
	again := func() io.Reader { return strings.NewReader("hello") }
	for _, tt := range []struct {
		name    string
		broken  string
		method  string
		body    func() io.Reader
		succeed bool
	}{
		{"refused, GET", refusing(t), "GET", nil, true},
		{"refused, POST that can be replayed", refusing(t), "POST", again, true},
		{"refused, POST once", refusing(t), "POST", once, true}, // nothing of it was read
		{"someone else, GET", elsewhere.Listener.Addr().String(), "GET", nil, true},
		{"someone else, POST without body", elsewhere.Listener.Addr().String(), "POST", nil, true},
		{"someone else, POST that can be replayed", elsewhere.Listener.Addr().String(), "POST", again, true},
		{"someone else, POST once", elsewhere.Listener.Addr().String(), "POST", once, false},
		{"no answer, GET", silent, "GET", nil, true},
		{"no answer, HEAD", silent, "HEAD", nil, true},
		{"no answer, POST", silent, "POST", again, false},
		{"no answer, DELETE", silent, "DELETE", nil, false},
		{"no answer, GET with body", silent, "GET", again, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			good := newBackend(t, "good")
			l, _ := joinTable(t, tableOf(1, 42, map[string][]string{"order@3": {tt.broken, good.address}}, "42 online web@1 order@3"))
			var failures int
			for range 40 { // each begins at either instance
				var body io.Reader
				if tt.body != nil {
					body = tt.body()
				}
				req, err := http.NewRequestWithContext(lane.WithEnvironment(testContext(t), 42), tt.method, "http://order/", body)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := do(t, l.Transport(nil), req); err != nil {
					failures++
				}
			}
			if tt.succeed && failures > 0 {
				t.Errorf("%d of 40 failed", failures)
			}
			if !tt.succeed && failures == 0 {
				t.Error("a request was repeated that must not be")
			}
			if n := int(good.calls.Load()); n != 40-failures {
				t.Errorf("%d calls answered, %d failed", n, failures)
			}
			for _, b := range good.bodies {
				if tt.body != nil && b != "hello" {
					t.Fatalf("body %q arrived", b)
				}
			}
			if retried := l.Stats().Retried; (retried > 0) != tt.succeed {
				t.Errorf("%d retried", retried)
			}
		})
	}
}

// silentServer takes requests and closes the connection without an answer.
func silentServer(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func TestEveryInstanceRefuses(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 42, map[string][]string{"order@3": {refusing(t), refusing(t)}}, "42 online web@1 order@3"))
	var op *net.OpError
	if _, err := get(t, testContext(t), l.Transport(nil), "http://order/"); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("got %v, want the refused connection", err)
	}
	if s := l.Stats(); s.Retried != 1 || len(s.Carried) != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestUnknownEnvironmentIsFetched(t *testing.T) {
	order := newBackend(t, "order@3")
	addresses := map[string][]string{"order@3": {order.address}}
	l, f := joinTable(t, tableOf(1, 42, addresses, "42 online web@1 order@3"))
	f.mu.Lock()
	f.fetched = tableOf(2, 43, addresses, "42 online web@1 order@3", "43 preview web@1 order@3")
	f.mu.Unlock()
	var wg sync.WaitGroup
	rt := l.Transport(nil)
	for range 20 {
		wg.Go(func() {
			if got, err := get(t, lane.WithEnvironment(testContext(t), 43), rt, "http://order/"); got != "order@3" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	fetches := f.fetches
	if _, err := get(t, lane.WithEnvironment(testContext(t), 43), rt, "http://order/"); err != nil {
		t.Error(err)
	}
	if f.fetches != fetches {
		t.Error("an environment that is known was fetched")
	}
	if got := l.Stats().Mark.Revision; got != 2 {
		t.Errorf("revision %d", got)
	}
}

func TestFallbackToOnline(t *testing.T) {
	soft := newBackend(t, "soft@1")
	l, _ := joinTable(t, tableOf(1, 43, map[string][]string{"soft@1": {soft.address}}, "42 online web@1 soft@1", "43 preview web@2 soft@2"))
	if got, err := get(t, lane.WithEnvironment(testContext(t), 43), l.Transport(nil), "http://soft/"); got != "soft@1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if soft.header("Abt2-Env") != "43" || !strings.HasPrefix(soft.header("Abt2-To"), "soft@1/") {
		t.Errorf("stamped %q, addressed to %q", soft.header("Abt2-Env"), soft.header("Abt2-To"))
	}
	if n := l.Stats().Fallbacks; n != 1 {
		t.Errorf("%d counted", n)
	}
}

func TestUnstampedCallWhileServingCountsAsRestamped(t *testing.T) {
	order := newBackend(t, "order@3")
	l, _ := joinTable(t, tableOf(1, 42, map[string][]string{"order@3": {order.address}}, "42 online web@1 order@3"))
	rt := l.Transport(nil)
	call := func(ctx context.Context) {
		if _, err := get(t, ctx, rt, "http://order/"); err != nil {
			t.Error(err)
		}
	}
	call(testContext(t)) // nothing is being served: a job of its own
	if s := l.Stats(); s.Stamped != 1 || s.Restamped != 0 {
		t.Errorf("before: %+v", s)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Abt2-Env", "42")
	l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		call(r.Context())
		if s := l.Stats(); s.Restamped != 0 {
			t.Errorf("with the request's context: %+v", s)
		}
		call(testContext(t)) // the context was lost
	})).ServeHTTP(httptest.NewRecorder(), r)
	if s := l.Stats(); s.Stamped != 2 || s.Restamped != 1 {
		t.Errorf("after: %+v", s)
	}
}

// TestCallsAreCarriedUntilTheirAnswerIsRead drains an environment.
func TestCallsAreCarriedUntilTheirAnswerIsRead(t *testing.T) {
	order := newBackend(t, "order@3")
	l, f := joinTable(t, tableOf(1, 42, map[string][]string{"order@3": {order.address}}, "42 online web@1 order@3"))
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://order/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.Transport(nil).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.Request != req {
		t.Error("the answer names another request")
	}
	if got := l.Stats().Carried[42]; got != 1 {
		t.Errorf("%d carried before the answer is read", got)
	}
	f.await(t, func(m *feedpb.RouterMessage) bool { return m.GetReport().GetCarried()[42].GetCount() == 1 })
	_ = res.Body.Close()
	if got := l.Stats().Carried; len(got) != 0 {
		t.Errorf("%v carried after it", got)
	}
}

func TestUpgradedConnectionsCanBeWritten(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(c, line)
	}))
	defer echo.Close()
	l, _ := joinTable(t, tableOf(1, 42, map[string][]string{"order@3": {echo.Listener.Addr().String()}}, "42 online web@1 order@3"))
	req, _ := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://order/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	res, err := l.Transport(nil).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	w, ok := res.Body.(io.Writer)
	if !ok {
		t.Fatalf("%T cannot be written to", res.Body)
	}
	_, _ = io.WriteString(w, "hello\n")
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

// BenchmarkTransport calls a module on loopback with two foreign baggage
// members, alternating with a plain Transport on the same instance in batches,
// so that both meet the same noise; the figures are medians of batches.
func BenchmarkTransport(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer srv.Close()
	address := srv.Listener.Addr().String()
	l, _ := joinTable(b, tableOf(1, 42, map[string][]string{"order@3": {address}}, "42 online web@1 order@3"))
	plain := http.DefaultTransport.(*http.Transport).Clone()
	plain.Proxy = nil // as the lane's own
	defer plain.CloseIdleConnections()

	ctx := context.Background()
	user, _ := baggage.NewMember("user", "7")
	trace, _ := baggage.NewMember("tenant", "acme")
	bag, _ := baggage.New(user, trace)
	stamped := lane.WithEnvironment(baggage.ContextWithBaggage(ctx, bag), 42)

	calls := func(ctx context.Context, rt http.RoundTripper, url string, n int) time.Duration {
		began := time.Now()
		for range n {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			req.Header.Set("Baggage", "user=7,tenant=acme")
			res, err := rt.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		return time.Since(began)
	}
	const batch = 20
	rt := l.Transport(nil)
	calls(ctx, plain, srv.URL, batch)
	calls(stamped, rt, "http://order/", batch)
	var plainTimes, laneTimes []time.Duration // by batch
	for b.Loop() {
		plainTimes = append(plainTimes, calls(ctx, plain, srv.URL, batch))
		laneTimes = append(laneTimes, calls(stamped, rt, "http://order/", batch))
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / batch
	}
	b.ReportMetric(median(plainTimes), "plain-ns/call")
	b.ReportMetric(median(laneTimes), "lane-ns/call")
	b.ReportMetric(median(laneTimes)/median(plainTimes), "ratio")
}
