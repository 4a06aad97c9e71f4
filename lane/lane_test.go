package lane_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"abt2.dev/lane"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// join makes the test process instance web-1 of web@1.
func join(t testing.TB, url string, options ...lane.Option) *lane.Lane {
	t.Helper()
	l, err := lane.Join(testContext(t), append([]lane.Option{
		lane.Server(url, "secret"), lane.Identity("web", "web@1", "web-1", "default"), lane.State(""),
		lane.Logger(slog.New(slog.DiscardHandler)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leave(t, l) })
	return l
}

// leave closes a lane whose server may be gone.
func leave(t testing.TB, l *lane.Lane) {
	if err := l.Close(testContext(t)); err != nil {
		t.Errorf("close: %v", err)
	}
}

// joinTable is join with a server that has this table.
func joinTable(t testing.TB, table *feedpb.Table) (*lane.Lane, *fakeFeed) {
	t.Helper()
	f := newFakeFeed(table)
	url, _ := f.serve(t)
	return join(t, url), f
}

// backend is a server that answers with its name and tells what it received.
type backend struct {
	*httptest.Server
	address string
	mu      sync.Mutex
	last    http.Header
	bodies  []string
	calls   atomic.Int64
}

func newBackend(t testing.TB, name string) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.last = r.Header.Clone()
		b.last.Set("Host", r.Host)
		b.bodies = append(b.bodies, string(body))
		b.mu.Unlock()
		b.calls.Add(1)
		_, _ = io.WriteString(w, name)
	}))
	b.address = b.Listener.Addr().String()
	t.Cleanup(b.Close)
	return b
}

func (b *backend) header(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.last[name], "|")
}

// refusing is an address where nobody listens.
func refusing(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func do(t testing.TB, rt http.RoundTripper, req *http.Request) (string, error) {
	t.Helper()
	res, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

func get(t testing.TB, ctx context.Context, rt http.RoundTripper, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, rt, req)
}

func TestJoinReadsTheEnvironment(t *testing.T) {
	f := newFakeFeed(tableOf(3, 42, nil, "42 online web@1"))
	url, _ := f.serve(t)
	for k, v := range map[string]string{
		"ABT2_SERVER": url, "ABT2_CREDENTIAL": "secret", "ABT2_MODULE": "web", "ABT2_VERSION": "web@1",
		"ABT2_INSTANCE": "web-1", "ABT2_PRODUCT": "default", "ABT2_STATE": t.TempDir(),
	} {
		t.Setenv(k, v)
	}
	l, err := lane.Join(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	f.await(t, func(m *feedpb.RouterMessage) bool {
		h := m.GetHello()
		return h.GetRouterId() == "web-1" && h.GetRole() == feedpb.Role_ROLE_PROCESS && h.GetVersion() == "web@1" && h.GetModule() == "web" && h.GetIncarnation() != ""
	})
	f.await(t, func(m *feedpb.RouterMessage) bool { return m.GetApplied().GetMark().GetRevision() == 3 })
	if got := l.Stats().Mark; got != (route.Mark{Epoch: "e", Revision: 3}) {
		t.Errorf("mark %v", got)
	}
	leave(t, l)
	f.await(t, func(m *feedpb.RouterMessage) bool { return m.GetGoodbye() != nil })
	if err := l.Close(testContext(t)); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func TestJoinNamesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []lane.Option
		static  string
		want    string
	}{
		{"no instance", []lane.Option{lane.Server("x:1", ""), lane.Identity("web", "web@1", "", "default")}, "", "ABT2_INSTANCE"},
		{"malformed version", []lane.Option{lane.Server("x:1", ""), lane.Identity("web", "one", "web-1", "default")}, "", "ABT2_VERSION"},
		{"version of another module", []lane.Option{lane.Server("x:1", ""), lane.Identity("web", "api@1", "web-1", "default")}, "", "ABT2_MODULE"},
		{"malformed server", []lane.Option{lane.Server("ftp://x", ""), lane.Identity("web", "web@1", "web-1", "default")}, "", `server "ftp://x"`},
		{"malformed static", nil, "order", "ABT2_STATIC"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("ABT2_STATIC", tt.static)
			if _, err := lane.Join(testContext(t), tt.options...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s in it", err, tt.want)
			}
		})
	}
}

func TestJoinWaitsForATable(t *testing.T) {
	f := newFakeFeed(nil)
	url, _ := f.serve(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	identity := lane.Identity("web", "web@1", "web-1", "default")
	quiet := lane.Logger(slog.New(slog.DiscardHandler))
	if _, err := lane.Join(ctx, lane.Server(url, "secret"), identity, quiet); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without a table: %v", err)
	}
	joined := make(chan *lane.Lane, 1)
	go func() {
		l, err := lane.Join(testContext(t), lane.Server(url, "secret"), identity, quiet)
		if err != nil {
			t.Error(err)
		}
		joined <- l
	}()
	f.await(t, func(m *feedpb.RouterMessage) bool { return m.GetReport() != nil })
	f.publish(tableOf(1, 42, nil, "42 online web@1"))
	if l := <-joined; l != nil {
		leave(t, l)
	}
}

// TestServesFromItsLastTable takes the server away, and restarts without it.
func TestServesFromItsLastTable(t *testing.T) {
	order := newBackend(t, "order@3")
	f := newFakeFeed(tableOf(3, 42, map[string][]string{"order@3": {order.address}}, "42 online web@1 order@3"))
	url, stop := f.serve(t)
	state := lane.State(t.TempDir())
	l := join(t, url, state)
	f.await(t, func(m *feedpb.RouterMessage) bool { return m.GetApplied() != nil })
	stop()
	if got, err := get(t, testContext(t), l.Transport(nil), "http://order/"); got != "order@3" || err != nil {
		t.Errorf("without the server: %q, %v", got, err)
	}
	leave(t, l)

	l = join(t, url, state)
	if got, err := get(t, testContext(t), l.Transport(nil), "http://order/"); got != "order@3" || err != nil {
		t.Errorf("after a restart without the server: %q, %v", got, err)
	}
	if l.Stats().Connected {
		t.Error("claims to be connected")
	}
}

func TestStaticAddresses(t *testing.T) {
	order := newBackend(t, "order")
	t.Setenv("ABT2_SERVER", "")
	t.Setenv("ABT2_STATIC", "order="+order.address)
	l, err := lane.Join(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer leave(t, l)
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := get(t, r.Context(), l.Transport(nil), "http://order/")
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, body)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.String() != "order" || order.header("Abt2-Env") != "" {
		t.Errorf("got %q, stamped %q", w.Body, order.header("Abt2-Env"))
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Abt2-Env", "42") // behind an edge that is not ours to check
	h.ServeHTTP(httptest.NewRecorder(), r)
	if order.header("Abt2-Env") != "42" {
		t.Errorf("stamped %q, want the stamp that came", order.header("Abt2-Env"))
	}
	if _, err := get(t, testContext(t), l.Transport(nil), "http://stock/"); route.ReasonOf(err) != route.NoAddress {
		t.Errorf("unknown module: %v", err)
	}
}

// TestThePortOfADeadInstance starts from a table so old that the port of one of
// its instances belongs to another module by now, while the server is away:
// what listens there refuses before its handler runs, and no answer is wrong.
func TestThePortOfADeadInstance(t *testing.T) {
	order := newBackend(t, "order@3")
	stranger := httptest.NewUnstartedServer(nil)
	dead := stranger.Listener.Addr().String()
	old := tableOf(3, 42, map[string][]string{"order@3": {dead, order.address}}, "42 online web@1 order@3")
	f := newFakeFeed(old)
	url, stop := f.serve(t)
	state := lane.State(t.TempDir())
	leave(t, join(t, url, state)) // keeps the table on disk
	stop()

	today := newFakeFeed(tableOf(9, 50, map[string][]string{"stock@9": {dead}, "order@3": {order.address}}, "50 online web@1 order@3 stock@9"))
	todayURL, _ := today.serve(t)
	var answered atomic.Int64
	stranger.Config.Handler = join(t, todayURL, lane.Identity("stock", "stock@9", "stock-9-1", "default")).Handler(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { answered.Add(1) }))
	stranger.Start()
	defer stranger.Close()

	l := join(t, url, state)
	if got := l.Stats(); got.Connected || got.Mark.Revision != 3 {
		t.Fatalf("connected %t at revision %d, want the old table alone", got.Connected, got.Mark.Revision)
	}
	for range 40 { // each begins at either instance
		if got, err := get(t, lane.WithEnvironment(testContext(t), 42), l.Transport(nil), "http://order/"); got != "order@3" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if answered.Load() > 0 || l.Stats().Retried == 0 {
		t.Errorf("stock@9 answered %d requests for order@3, %d were tried elsewhere; want none, some", answered.Load(), l.Stats().Retried)
	}
}
