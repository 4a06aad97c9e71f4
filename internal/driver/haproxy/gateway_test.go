package haproxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
	"abt2.dev/internal/driver/haproxy"
)

// shop is a product with one module, web, in one environment.
func shop(revision uint64, instances ...abt2.TableInstance) abt2.EdgeRoutes {
	web := abt2.VersionID{Module: "web", Number: 1}
	return abt2.EdgeRoutes{Table: abt2.Table{
		Mark: abt2.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: 1,
		Products:     []abt2.TableProduct{{Name: abt2.DefaultProduct, Online: 1}},
		Environments: []abt2.TableEnvironment{{ID: 1, Product: abt2.DefaultProduct, Modules: []abt2.VersionID{web}, WasOnline: true}},
		Versions:     []abt2.TableVersion{{ID: web, Kind: abt2.KindEdge, Prefix: "/", Fallback: abt2.FallbackNone, Instances: instances}},
	}}
}

// module answers with its name, after hold has let it.
func module(t *testing.T, name string, hold <-chan struct{}) abt2.TableInstance {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-hold
		}
		_, _ = w.Write([]byte(name))
	}))
	t.Cleanup(s.Close)
	return abt2.TableInstance{ID: abt2.InstanceID(name), Address: s.Listener.Addr().String()}
}

func apply(t *testing.T, e *haproxy.Edge, r abt2.EdgeRoutes) {
	t.Helper()
	if err := e.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	same(t, e, r)
}

// same checks that Read shows r.
func same(t *testing.T, e *haproxy.Edge, r abt2.EdgeRoutes) {
	t.Helper()
	got, err := e.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func address(t *testing.T, e *haproxy.Edge) string {
	t.Helper()
	a, err := e.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func get(t *testing.T, e *haproxy.Edge, path string) (status int, body string, header http.Header) {
	t.Helper()
	res, err := http.Get("http://" + address(t, e) + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

func TestInstancesChangeWithoutAnotherProcess(t *testing.T) {
	dir := folder(t)
	e := open(t, haproxy.Config{Dir: dir})
	one, two := module(t, "web-1-1", nil), module(t, "web-1-2", nil)
	apply(t, e, shop(1, one))
	before := pidOf(dir, worker)
	for i, r := range []abt2.EdgeRoutes{shop(2, one, two), shop(3, two), shop(4), shop(5, one), shop(6, abt2.TableInstance{ID: one.ID, Address: two.Address})} {
		apply(t, e, r)
		status, body, _ := get(t, e, "/")
		want := http.StatusOK
		if len(r.Table.Versions[0].Instances) == 0 {
			want = http.StatusServiceUnavailable
		}
		if status != want {
			t.Errorf("change %d: status %d, %q; want %d", i, status, body, want)
		}
	}
	if after := pidOf(dir, worker); after != before {
		t.Errorf("process %d serves, was %d", after, before)
	}
	// What was told at run time is also what another process starts with.
	crash(t, dir, worker)
	if status, body, _ := get(t, e, "/"); status != http.StatusOK || body != "web-1-2" {
		t.Errorf("after a crash: status %d from %q", status, body)
	}
}

func TestDriftOfEveryKindIsMended(t *testing.T) {
	dir := folder(t)
	e := open(t, haproxy.Config{Dir: dir})
	one, two := module(t, "web-1-1", nil), module(t, "web-1-2", nil)
	want := shop(1, one, two)
	apply(t, e, want)
	for _, command := range []string{
		"set server v:web.1/web-1-1 state maint",
		"set server g:web.1/web-1-1 state drain",
		"set server v:web.1/web-1-2 addr 127.0.0.1 port 1",
		"add map live/routes.map foreign.example/ r|1|web@1|web.1|default|1~x",
		"add map live/routes.map /secret/ r|1|web@1|web.1|default|1~x",
		"set map live/routes.map / r|1|web@2|web.1|default|1~x",
		"set map live/routes.map / x|1|||default|1~x",
		"del map live/routes.map /.abt2/",
		"set map live/routes.map MODE handover",
		"add map live/routes.map T|00112233445566778899aabbccddeeff default|1~x|preview",
		"clear map live/routes.map",
	} {
		tell(t, dir, command)
		got, err := e.Read(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		if cmp.Equal(want, got, cmpopts.EquateEmpty()) {
			t.Errorf("%s: Read does not show it", command)
		}
		apply(t, e, want)
	}
	// The file is HAProxy's memory for its next start.
	conf := filepath.Join(dir, "live", "haproxy.cfg")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, append(b, "# by hand\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	apply(t, e, want)
	if now, err := os.ReadFile(conf); err != nil || string(now) != string(b) {
		t.Errorf("the file is still as edited, error %v", err)
	}
}

func TestComesBackFromATornMap(t *testing.T) {
	dir := folder(t)
	e := open(t, haproxy.Config{Dir: dir})
	want := shop(1, module(t, "web-1-1", nil))
	apply(t, e, want)
	live := filepath.Join(dir, "live", "routes.map")
	b, err := os.ReadFile(live)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string // as lost power may leave it: the note, and not all else
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "/ ") {
			kept = append(kept, line)
		}
	}
	if err := os.WriteFile(live, []byte(strings.Join(kept, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	crash(t, dir, master)
	if status, body, _ := get(t, e, "/"); status != http.StatusOK || body != "web-1-1" {
		t.Errorf("after a crash: status %d, %q", status, body)
	}
	same(t, e, want)
}

func TestSnippet(t *testing.T) {
	dir := folder(t)
	snippet := filepath.Join(t.TempDir(), "own.cfg")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(snippet, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("http-response set-header x-own yes\n")
	e := open(t, haproxy.Config{Dir: dir, Snippet: snippet})
	one := module(t, "web-1-1", nil)
	apply(t, e, shop(1, one))
	if _, body, header := get(t, e, "/"); body != "web-1-1" || header.Get("X-Own") != "yes" {
		t.Errorf("with a snippet: %q, X-Own %q", body, header.Get("X-Own"))
	}
	write("http-response set-haeder x-own no\n")
	err := e.Apply(t.Context(), shop(2, one))
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "set-haeder") {
		t.Errorf("a snippet that breaks: error %v, want %s in HAProxy's words", err, abt2.CodeRefused)
	}
	same(t, e, shop(1, one))
	crash(t, dir, master) // what is installed is still what is served
	if _, body, header := get(t, e, "/"); body != "web-1-1" || header.Get("X-Own") != "yes" {
		t.Errorf("after refusing: %q, X-Own %q", body, header.Get("X-Own"))
	}
}

func TestNamesBecomeNoSyntax(t *testing.T) {
	e := open(t, haproxy.Config{})
	one := module(t, "web-1-1", nil)
	one.ID = "web@1/1 \n  server evil 127.0.0.1:1 '\"\\%[env(HOME)]:é"
	apply(t, e, shop(1, one))
	if status, body, _ := get(t, e, "/"); status != http.StatusOK {
		t.Errorf("an instance with a strange id: status %d, %q", status, body)
	}
	two := module(t, "web-1-2", nil)
	two.ID = "web;1|2#"
	apply(t, e, shop(2, one, two)) // and told at run time
	const prefix = `/"'\%[env(HOME)]{}$x;#<<`
	r := shop(3, one, two)
	r.Table.Versions[0].Prefix = prefix
	r.Table.Products[0].Hosts = []string{`%[env(home)]'"$x;<<`}
	apply(t, e, r)
	if status, body, _ := get(t, e, "/"+url.PathEscape(prefix[1:])); status != http.StatusOK {
		t.Errorf("a strange prefix: status %d, %q", status, body)
	}
	if status, body, _ := get(t, e, "/"); status != http.StatusNotFound {
		t.Errorf("beside a strange prefix: status %d, %q", status, body)
	}
	apply(t, e, shop(4, one, two))
	for what, edit := range map[string]func(*abt2.EdgeRoutes){
		"host with a line":     func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"a\nmode x"} },
		"host with a space":    func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"a b"} },
		"host with a bar":      func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"a|b"} },
		"host with a path":     func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"a/b"} },
		"host with a remark":   func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"#a"} },
		"any host":             func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"*"} },
		"prefix with a space":  func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Prefix = "/ x" },
		"address with options": func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Instances[0].Address = "127.0.0.1:1 disabled" },
		"address by name":      func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Instances[0].Address = "db.example:80" },
		"product with a bar":   func(r *abt2.EdgeRoutes) { r.Table.Products[0].Name = "a|b" },
		"digest too short":     func(r *abt2.EdgeRoutes) { r.Tokens = map[abt2.TokenDigest]abt2.EnvironmentID{"00": 1} },
	} {
		r := shop(5, abt2.TableInstance{ID: "x", Address: one.Address})
		edit(&r)
		if err := e.Apply(t.Context(), r); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%s: error %v, want %s", what, err, abt2.CodeInvalid)
		}
	}
	same(t, e, shop(4, one, two))
}

func TestWaitsUntilDrained(t *testing.T) {
	e := open(t, haproxy.Config{})
	hold := make(chan struct{})
	apply(t, e, shop(1, module(t, "web-1-1", hold)))
	if err := e.WaitDrained(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + address(t, e) + "/hold")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := shop(2, module(t, "web-1-1", nil))
	r.Table.Versions[0].ID.Number, r.Table.Environments[0].Modules[0].Number = 2, 2
	apply(t, e, r) // the request stays with the process before
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := e.WaitDrained(ctx, 1); abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), "(1)") {
		t.Errorf("with a request at work: error %v, want %s that counts it", err, abt2.CodeUnconfirmed)
	}
	close(hold)
	if err := e.WaitDrained(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func TestOutlivesItsSupervisor(t *testing.T) {
	dir := folder(t)
	needHAProxy(t)
	cfg := haproxy.Config{Dir: dir, Listen: "127.0.0.1:0", DrainTimeout: time.Second}
	start := func() (*haproxy.Edge, func()) {
		e, err := haproxy.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		return e, func() { cancel(); <-done }
	}
	first, leave := start()
	one := module(t, "web-1-1", nil)
	apply(t, first, shop(1, one))
	before, at := pidOf(dir, master), address(t, first)
	leave() // the server ends
	second, leave := start()
	if pid := pidOf(dir, master); pid != before {
		t.Errorf("process %d runs, was %d", pid, before)
	}
	same(t, second, shop(1, one))
	crash(t, dir, master) // one that another server had started
	if _, body, _ := get(t, second, "/"); body != "web-1-1" || address(t, second) != at {
		t.Errorf("after a crash: %q at %s, was at %s", body, address(t, second), at)
	}
	for range 2 { // repeating succeeds
		if err := second.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	if _, err := net.Dial("tcp", at); err == nil {
		t.Error("somebody still listens after Stop")
	}
	if err := second.Apply(t.Context(), shop(2, one)); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("Apply where none runs: error %v, want %s", err, abt2.CodeUnavailable)
	}
	if _, err := second.Read(t.Context()); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("Read where none runs: error %v, want %s", err, abt2.CodeUnavailable)
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	needHAProxy(t)
	e, err := haproxy.New(haproxy.Config{Dir: folder(t), Listen: "127.0.0.1:0", DrainTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	apply(t, e, shop(1, module(t, "web-1-1", hold)))
	get(t, e, "/") // leaves a connection that is kept
	res, err := http.Get("http://" + address(t, e) + "/hold")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(context.Background()) }()
	at := address(t, e)
	until(t, func() bool { // it accepts nobody any more
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(hold)
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "web-1-1" {
		t.Errorf("a request at work got %q, error %v", b, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
