package edge

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testEdge is an edge without its sockets: no feed, no control.
type testEdge struct {
	*server
	url string // of the public side
}

func newTestEdge(t testing.TB, edit func(*Config)) *testEdge {
	t.Helper()
	cfg := Config{ID: "edge-1", Dir: "unused", Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}
	if edit != nil {
		edit(&cfg)
	}
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	base, cancel := context.WithCancel(context.Background())
	s, err := newServer(cfg, base, cancel)
	if err != nil {
		t.Fatal(err)
	}
	s.metrics.connected.Store(true)
	public := httptest.NewUnstartedServer(nil)
	public.Config = s.httpServer(http.HandlerFunc(s.serveOutside))
	public.Start()
	t.Cleanup(func() {
		public.Close()
		gone, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		s.names.drain(gone)
		cancel()
		s.transports.close()
	})
	return &testEdge{s, public.URL}
}

// module starts a module that answers with handler.
func module(t testing.TB, handler http.HandlerFunc) (address string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

const (
	preview abt2.Token = "cHJldmlldy1wcmV2aWV3LQ"
	unknown abt2.Token = "dW5rbm93bi11bmtub3duLQ"
)

// routesTo has web@1 online in 1 and web@2 in the preview 2, both at address,
// and a service order in both.
func routesTo(revision uint64, addresses ...string) *feedpb.EdgeRoutes {
	version := func(id, kind, prefix string) *feedpb.Version {
		v := &feedpb.Version{Id: id, Kind: kind, Prefix: prefix, Fallback: "none"}
		for i, a := range addresses {
			v.Instances = append(v.Instances, &feedpb.Instance{Id: strings.ReplaceAll(id, "@", "-") + "-" + string(rune('a'+i)), Address: a})
		}
		return v
	}
	return &feedpb.EdgeRoutes{
		Table: &feedpb.Table{
			Mark: &feedpb.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: 2,
			Products: []*feedpb.Product{{Name: "default", Online: 1, Preview: 2}},
			Environments: []*feedpb.Environment{
				{Id: 1, Product: "default", Versions: []string{"order@1", "web@1"}, WasOnline: true},
				{Id: 2, Product: "default", Versions: []string{"order@2", "web@2"}},
			},
			Versions: []*feedpb.Version{
				version("order@1", "service", ""), version("order@2", "service", ""),
				version("web@1", "edge", "/"), version("web@2", "edge", "/"),
			},
		},
		Tokens: map[string]uint64{string(preview.Digest()): 2},
	}
}

func (e *testEdge) mustApply(t testing.TB, r *feedpb.EdgeRoutes) {
	t.Helper()
	if err := e.apply(r); err != nil {
		t.Fatal(err)
	}
}

// get returns the answer to one request, without following redirects.
func (e *testEdge) get(t testing.TB, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	return send(t, "GET", e.url+path, header, "")
}

func send(t testing.TB, method, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-edge-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// until looks again and again at something that sends no signal.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("gave up waiting: ", context.Cause(t.Context()))
		}
	}
}
