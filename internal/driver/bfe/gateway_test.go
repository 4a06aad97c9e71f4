package bfe_test

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
	"abt2.dev/internal/driver/bfe"
	"abt2.dev/internal/driver/bfe/bfetest"
)

// same fails the test unless Read returns want.
func same(t *testing.T, e *bfe.Edge, want abt2.EdgeRoutes) {
	t.Helper()
	got, err := e.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("Read (-want +got):\n%s", d)
	}
}

func TestRefusesAFolderThatIsNotBFEs(t *testing.T) {
	p := bfetest.Prepare(t)
	for what, change := range map[string]func(s string) string{
		"no mod_header": func(s string) string { return strings.ReplaceAll(s, "Modules = mod_header", "Modules = mod_block") },
		"no monitor": func(s string) string {
			return strings.ReplaceAll(s, "[HttpsBasic]", "MonitorEnabled = false\n[HttpsBasic]")
		},
		"no port": func(s string) string {
			return strings.ReplaceAll(s, "MonitorPort = ", "MonitorPort = many")
		},
	} {
		dir := t.TempDir()
		b, err := os.ReadFile(filepath.Join(p.Dir, "bfe.conf"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "bfe.conf"), change(string(b)))
		write(t, filepath.Join(dir, "mod_header/mod_header.conf"), "")
		if _, err := bfe.New(bfe.Config{Dir: dir}); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%s: error %v, want %s", what, err, abt2.CodeInvalid)
		}
	}
	for what, cfg := range map[string]bfe.Config{
		"no folder":                      {},
		"an empty folder":                {Dir: t.TempDir()},
		"pages by name":                  {Dir: p.Dir, Pages: "localhost:80"},
		"WebSockets that nobody stamps":  {Dir: p.Dir, WebSockets: true},
		"no modules configuration there": {Dir: filepath.Join(p.Dir, "tls_conf")},
	} {
		if _, err := bfe.New(cfg); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%s: error %v, want %s", what, err, abt2.CodeInvalid)
		}
	}
}

// TestTakesNoWordForSyntax: what an operator names reaches BFE as it is or not
// at all.
func TestTakesNoWordForSyntax(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	for what, edit := range map[string]func(r *abt2.EdgeRoutes){
		"host that ends a string":   func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{`a") || default_t() || req_host_in("b`} },
		"host for all":              func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"*.example"} },
		"host of several":           func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{"a|b"} },
		"empty host":                func(r *abt2.EdgeRoutes) { r.Table.Products[0].Hosts = []string{""} },
		"prefix that ends a string": func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Prefix = `/", false) || default_t()` },
		"prefix of several":         func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Prefix = "/a|/" },
		"prefix that escapes":       func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Prefix = `/\` },
		"module with a dot":         func(r *abt2.EdgeRoutes) { r.Table.Versions[0].ID.Module = "web.preview" },
		"module that is a variable": func(r *abt2.EdgeRoutes) { r.Table.Versions[0].ID.Module = "%bfe_vip" },
		"product of two":            func(r *abt2.EdgeRoutes) { r.Table.Products[0].Name = "default|x" },
		"address by name":           func(r *abt2.EdgeRoutes) { r.Table.Versions[0].Instances[0].Address = "localhost:80" },
		"token of two": func(r *abt2.EdgeRoutes) {
			const two = abt2.Token(`x|y`)
			r.Tokens, r.Whole = map[abt2.TokenDigest]abt2.EnvironmentID{two.Digest(): 2}, map[abt2.TokenDigest]abt2.Token{two.Digest(): two}
		},
		"token that ends a string": func(r *abt2.EdgeRoutes) {
			const wild = abt2.Token(`x", false) || default_t() || req_cookie_value_in("abt2", "y`)
			r.Tokens, r.Whole = map[abt2.TokenDigest]abt2.EnvironmentID{wild.Digest(): 2}, map[abt2.TokenDigest]abt2.Token{wild.Digest(): wild}
		},
		"digest alone": func(r *abt2.EdgeRoutes) { r.Whole = nil },
	} {
		r := shop(2, 2)
		r.Table.Versions[0].Instances = append([]abt2.TableInstance{}, r.Table.Versions[0].Instances...)
		edit(&r)
		if err := e.Apply(t.Context(), r); abt2.CodeOf(err) != abt2.CodeInvalid || strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: error %v, want %s", what, err, abt2.CodeInvalid)
		}
	}
	same(t, e, shop(1, 1))
	// A name may be anything: BFE does not act on it.
	r := shopAt(3, 1, abt2.TableInstance{ID: `a"b\n%bfe_vip`, Address: "[::1]:1"})
	apply(t, e, r)
	same(t, e, r)
	if _, cluster := get(t, p, "/", nil); cluster != "1.web" {
		t.Errorf("led to %q, want 1.web", cluster)
	}
}

func TestKeepsSecretsToItsOwner(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	found := 0
	if err := filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, filepath.Join(p.Dir, "log")) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if strings.Contains(string(b), string(secret)) || strings.Contains(string(b), note(t, p).Probe) {
			if found++; info.Mode().Perm() != 0o600 {
				t.Errorf("%s has a secret and mode %s", path, info.Mode())
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if found != 3 { // routes, mod_header's rules, our note
		t.Errorf("%d files have secrets, want 3", found)
	}
	left, err := filepath.Glob(filepath.Join(p.Dir, "abt2-next-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

// TestChangesNothingWithoutBFE: nobody may find routes after a start that nobody
// confirmed.
func TestChangesNothingWithoutBFE(t *testing.T) {
	p := bfetest.Prepare(t)
	e, err := bfe.New(bfe.Config{Dir: p.Dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Prepare(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(p.Dir, routeFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), shop(1, 1)); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("Apply: error %v, want %s", err, abt2.CodeUnavailable)
	}
	if _, err := e.Read(t.Context()); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("Read: error %v, want %s", err, abt2.CodeUnavailable)
	}
	after, err := os.ReadFile(filepath.Join(p.Dir, routeFile))
	if err != nil || string(after) != string(before) {
		t.Errorf("the routes were written all the same, error %v", err)
	}
}

// TestUnderstandsNoNonsense: whatever listens at the monitor port.
func TestUnderstandsNoNonsense(t *testing.T) {
	const good = `{"HostTag":"x","Vip":"x","ProductRoute":"x","ClusterConfVer":"x","ClusterTableConfVer":"x","GslbConfTimeStamp":"x"}`
	for what, c := range map[string]struct {
		monitor, reload string
		status          int
		want            abt2.Code
	}{
		"another program":        {"<html>", "", 200, abt2.CodeFailed},
		"another status":         {good, "", 404, abt2.CodeFailed},
		"another version of BFE": {`{"HostTag":"x","ProductRoute":"x"}`, "", 200, abt2.CodeRefused},
		"no answer to a reload":  {good, "", 200, abt2.CodeFailed},
		"another answer":         {good, `{"ok":true}`, 200, abt2.CodeFailed},
		"an error":               {good, `{"error":"no "such" file"}`, 200, abt2.CodeRefused},
		"it loads nothing":       {good, `{"error":null}`, 200, abt2.CodeFailed},
	} {
		p := bfetest.Prepare(t)
		l, err := net.Listen("tcp", p.Monitor)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			if strings.HasPrefix(r.URL.Path, "/reload/") {
				_, _ = io.WriteString(w, c.reload)
			} else {
				_, _ = io.WriteString(w, c.monitor)
			}
		}))
		srv.Listener.Close()
		srv.Listener = l
		srv.Start()
		e, err := bfe.New(bfe.Config{Dir: p.Dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Apply(t.Context(), shop(1, 1)); abt2.CodeOf(err) != c.want {
			t.Errorf("%s: error %v, want %s", what, err, c.want)
		}
		srv.Close()
	}
}

// TestGivesUpOnASlowBFE when its caller does.
func TestGivesUpOnASlowBFE(t *testing.T) {
	p := bfetest.Prepare(t)
	l, err := net.Listen("tcp", p.Monitor) // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, err := bfe.New(bfe.Config{Dir: p.Dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Apply(ctx, shop(1, 1)) }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if err := <-done; abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("error %v, want %s", err, abt2.CodeUnavailable)
	}
}

// TestSaysWhereItCannotWrite, and the old stays.
func TestSaysWhereItCannotWrite(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	path := filepath.Join(p.Dir, noteFile)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // a rename cannot replace it, whoever asks
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), shop(2, 2)); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), noteFile) {
		t.Errorf("error %v, want %s that names %s", err, abt2.CodeFailed, noteFile)
	}
}

// TestReadsNoMarkOfForeignRoutes: versions that nobody noted stand for nothing.
func TestReadsNoMarkOfForeignRoutes(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	p.Edit(t, routeFile, func(s string) string {
		return strings.Replace(s, `"Version": "abt2-`, `"Version": "by hand `, 1)
	})
	p.Reload(t, "server_data_conf")
	got, err := e.Read(t.Context())
	if err != nil || got.Table.Mark != (abt2.Mark{}) || got.Table.Products[0].Online != 1 {
		t.Errorf("mark %v, online %d, error %v; want none, 1", got.Table.Mark, got.Table.Products[0].Online, err)
	}
	apply(t, e, shop(1, 1))
	same(t, e, shop(1, 1))
}

// TestMendsHeaderRules of which BFE tells no version: the same again loads them.
func TestMendsHeaderRules(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	seen := make(chan http.Header, 1)
	r := shopAt(1, 1, module(t, seen))
	apply(t, e, r)
	aside := filepath.Join(t.TempDir(), "rules")
	write(t, aside, `{"Version": "x", "Config": {}}`)
	p.Reload(t, "mod_header?path="+aside)
	get(t, p, "/", nil)
	if h := <-seen; h.Get("Abt2-Env") != "" {
		t.Fatalf("without rules the stamp is %q", h.Get("Abt2-Env"))
	}
	got, err := e.Read(t.Context())
	if err != nil || got.Table.Products[0].Online != 0 {
		t.Errorf("Read: online %d, error %v; want 0, since nobody tells", got.Table.Products[0].Online, err)
	}
	<-seen // a probe
	apply(t, e, r)
	get(t, p, "/", nil)
	if h := <-seen; h.Get("Abt2-Env") != "1.web" {
		t.Errorf("after the same again the stamp is %q", h.Get("Abt2-Env"))
	}
}

// TestKeepsClustersForOneChangeMore: a request that has found its route is about
// to look for its cluster.
func TestKeepsClustersForOneChangeMore(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	without := func(revision uint64) abt2.EdgeRoutes {
		r := shop(revision, 1)
		r.Table.Products[0].Preview = 0
		r.Table.Environments, r.Table.Versions, r.Tokens, r.Whole = r.Table.Environments[:1], r.Table.Versions[:1], nil, nil
		return r
	}
	has := func(file string) bool {
		b, err := os.ReadFile(filepath.Join(p.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(b), "2.web")
	}
	apply(t, e, shop(1, 1))
	apply(t, e, without(2))
	for _, file := range []string{gslbFile, headerFile, clusterFile} {
		if !has(file) {
			t.Errorf("%s: lacks the cluster that routes have just left", file)
		}
	}
	if has(routeFile) {
		t.Error("routes lead to an environment that is gone")
	}
	apply(t, e, without(3))
	for _, file := range []string{gslbFile, headerFile, clusterFile} {
		if has(file) {
			t.Errorf("%s: still has the cluster after another change", file)
		}
	}
}

// TestTakesUpWhatWasCutShort: a server that dies between BFE's reload and our
// note leaves what the next one can read and build on.
func TestTakesUpWhatWasCutShort(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	path := filepath.Join(p.Dir, noteFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, e, shop(2, 2))
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// As it is written before the reloads: the old confirmed, the new being tried.
	served := strings.TrimSuffix(string(before), "}")
	_, trying, _ := strings.Cut(string(after), `"served":`)
	write(t, path, served+`,"trying":`+trying)
	same(t, e, shop(2, 2))
	if err := e.Apply(t.Context(), shop(1, 1)); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("older routes: error %v, want %s", err, abt2.CodeRefused)
	}
	apply(t, e, shop(3, 1))
	same(t, e, shop(3, 1))
}

func TestRefusesWebSockets(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	seen := make(chan http.Header, 1)
	apply(t, e, shopAt(1, 1, module(t, seen)))
	c := upgrade(t, p, "")
	defer c.Close()
	if !closed(c) {
		t.Error("something was answered")
	}
	select {
	case h := <-seen:
		t.Errorf("a module was asked: %v", h)
	default:
	}
}

// TestPagesAnswerWhatBFECannot: they see requests as they came.
func TestPagesAnswerWhatBFECannot(t *testing.T) {
	seen, reached := make(chan http.Header, 1), make(chan http.Header, 1)
	behind := module(t, seen)
	e, p, _ := open(t, bfe.Config{Pages: behind.Address, WebSockets: true})
	r := shopAt(1, 1, module(t, reached))
	r.Table.Versions[0].Prefix = "/shop"
	r.Table.Versions[1].Instances = nil // of the preview
	apply(t, e, r)
	cookie := http.Header{"Cookie": {"a=1; abt2=" + string(secret)}, "Abt2-Env": {"7"}}
	for _, path := range []string{"/.abt2/token", "/elsewhere"} {
		get(t, p, path, cookie)
		if h := <-seen; h.Get("Cookie") != "a=1; abt2="+string(secret) {
			t.Errorf("%s: pages see the cookie %q", path, h.Get("Cookie"))
		}
	}
	get(t, p, "/shop", cookie) // has no instance there
	if h := <-seen; h.Get("Cookie") == "" {
		t.Error("without instances: pages see no cookie")
	}
	c := upgrade(t, p, "Cookie: abt2="+string(secret)+"\r\n")
	defer c.Close()
	if h := <-seen; h.Get("Cookie") != "abt2="+string(secret) {
		t.Errorf("WebSocket: pages see the cookie %q", h.Get("Cookie"))
	}
	get(t, p, "/shop", nil)
	if h := <-reached; h.Get("Abt2-Env") != "1.web" {
		t.Errorf("the module sees the stamp %q, want 1.web", h.Get("Abt2-Env"))
	}
	same(t, e, r)
}

// TestSeveralAreEachForThemselves: what one refuses, another has.
func TestSeveralAreEachForThemselves(t *testing.T) {
	one, _, _ := open(t, bfe.Config{})
	two, _, _ := open(t, bfe.Config{})
	apply(t, one, shop(1, 1))
	apply(t, two, shop(1, 1))
	apply(t, one, shop(2, 2))
	same(t, one, shop(2, 2))
	same(t, two, shop(1, 1))
}
