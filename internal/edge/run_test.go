package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/lane/feedpb"
)

// runConfig is an edge whose server is nowhere.
func runConfig(t *testing.T) Config {
	t.Helper()
	dir := shortDir(t)
	writeFile(t, filepath.Join(dir, CredentialFile), "secret\n", 0o600)
	return Config{ID: "edge-1", Dir: dir, Listen: "127.0.0.1:0", Server: freeAddress(t), DrainTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// running is an edge in this process.
type running struct {
	*edgectl.Client
	edgectl.Description
	done chan error
}

// start runs an edge with these routes; nil: none. It ends with the test.
func start(t *testing.T, cfg Config, routes *feedpb.EdgeRoutes) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Client: edgectl.NewClient(cfg.Dir), done: make(chan error, 1)}
	go func() { r.done <- run(ctx, cfg, routes) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
	})
	until(t, func() bool {
		select {
		case err := <-r.done:
			t.Fatal("the edge has ended: ", err)
		default:
		}
		var err error
		r.Description, err = r.Describe(t.Context())
		return err == nil
	})
	return r
}

func (r *running) wait(t *testing.T) {
	t.Helper()
	err := <-r.done
	r.done <- nil
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunKeepsItsAddress(t *testing.T) {
	cfg := runConfig(t)
	first := start(t, cfg, nil)
	if first.ID != "edge-1" || first.URL != "http://"+first.Addresses[0] || first.Connected || first.Mark != (abt2.Mark{}) || first.Started.IsZero() {
		t.Errorf("description %+v", first.Description)
	}
	for name, mode := range map[string]os.FileMode{"": 0o700, edgectl.SocketFile: 0o600, addressFile: 0o600} {
		info, err := os.Stat(filepath.Join(cfg.Dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: mode %v, error %v; want %v", name, info.Mode(), err, mode)
		}
	}
	if err := Run(t.Context(), cfg); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("a second edge on the folder: error %v, want %s", err, abt2.CodeRefused)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.wait(t)
	if _, err := first.Describe(t.Context()); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("after the end: error %v, want %s", err, abt2.CodeUnavailable)
	}
	second := start(t, cfg, nil)
	if second.Addresses[0] != first.Addresses[0] {
		t.Errorf("started again at %s, was at %s", second.Addresses[0], first.Addresses[0])
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.wait(t)
	taken, err := net.Listen("tcp", first.Addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := Run(t.Context(), cfg); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), addressFile) {
		t.Errorf("the address is taken: error %v, want one that names the file", err)
	}
}

func TestRunOnAnInheritedSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd())) // the edge closes what it inherits
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	cfg := runConfig(t)
	cfg.Listen, cfg.ListenFD = "", fd
	if r := start(t, cfg, nil); r.Addresses[0] != l.Addr().String() {
		t.Errorf("serves at %s, want %s", r.Addresses[0], l.Addr())
	}
	l.Close()
}

func TestRunRefusesBadConfig(t *testing.T) {
	for what, edit := range map[string]func(*Config){
		"no id":                      func(c *Config) { c.ID = "" },
		"no folder":                  func(c *Config) { c.Dir = "" },
		"folder too long":            func(c *Config) { c.Dir = filepath.Join(c.Dir, strings.Repeat("d", 100)); c.Credential = "" },
		"no address":                 func(c *Config) { c.Listen = "8080" },
		"no server":                  func(c *Config) { c.Server = "" },
		"certificate alone":          func(c *Config) { c.TLSCert = "cert.pem" },
		"certificate that is none":   func(c *Config) { c.TLSCert, c.TLSKey = c.Credential, c.Credential },
		"URL with a path":            func(c *Config) { c.PublicURL = "http://shop.example/x" },
		"URL without a scheme":       func(c *Config) { c.PublicURL = "shop.example" },
		"credential that is missing": func(c *Config) { c.Credential += ".not" },
		"socket that is none":        func(c *Config) { c.ListenFD = 999 },
		"credential others can read": func(c *Config) { _ = os.Chmod(c.Credential, 0o644) },
		"credential that is empty":   func(c *Config) { _ = os.Truncate(c.Credential, 0) },
	} {
		cfg := runConfig(t)
		cfg.Credential = filepath.Join(cfg.Dir, CredentialFile)
		edit(&cfg)
		err := Run(t.Context(), cfg)
		if code := abt2.CodeOf(err); code != abt2.CodeInvalid && code != abt2.CodeUnauthorized {
			t.Errorf("%s: code %q, error %v", what, code, err)
		}
	}
}

func TestRunTLS(t *testing.T) {
	like := httptest.NewTLSServer(nil) // lends its certificate
	like.Close()
	pair := like.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cfg := runConfig(t)
	cfg.TLSCert, cfg.TLSKey = filepath.Join(cfg.Dir, "cert.pem"), filepath.Join(cfg.Dir, "key.pem")
	writeFile(t, cfg.TLSCert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), 0o600)
	writeFile(t, cfg.TLSKey, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), 0o600)
	r := start(t, cfg, routesTo(1, module(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proto", r.Header.Get("X-Forwarded-Proto"))
	})))
	if !strings.HasPrefix(r.URL, "https://") {
		t.Errorf("URL %s", r.URL)
	}
	pool := x509.NewCertPool()
	pool.AddCert(like.Certificate())
	for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}, Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(want == "HTTP/1.1")
		transport.Protocols.SetHTTP2(want == "HTTP/2.0")
		for path, status := range map[string]int{"/": 200, "/.abt2/leave": 303} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", r.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.Proto != want || res.StatusCode != status {
				t.Errorf("%s over %s: status %d over %s, want %d", path, want, res.StatusCode, res.Proto, status)
			}
			if path == "/" && res.Header.Get("Proto") != "https" {
				t.Errorf("X-Forwarded-Proto was %q", res.Header.Get("Proto"))
			}
			if path != "/" && !strings.Contains(res.Header.Get("Set-Cookie"), "; Secure") {
				t.Errorf("Set-Cookie %q lacks Secure", res.Header.Get("Set-Cookie"))
			}
		}
		transport.CloseIdleConnections()
	}
}

func TestStopFinishesRequests(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	cfg := runConfig(t)
	r := start(t, cfg, routesTo(1, module(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "finished")
	})))
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + r.Addresses[0])
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-arrived
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		c, err := net.Dial("tcp", r.Addresses[0])
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-answer; got != "finished" {
		t.Errorf("the request under way was answered %q", got)
	}
	r.wait(t)
	http.DefaultClient.CloseIdleConnections()
}

func TestStopGivesUpAfterItsTime(t *testing.T) {
	arrived := make(chan struct{})
	cfg := runConfig(t)
	cfg.DrainTimeout = 50 * time.Millisecond
	r := start(t, cfg, routesTo(1, module(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack() // an upgraded connection never ends by itself
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		close(arrived)
		_, _ = io.Copy(io.Discard, c)
	})))
	c, err := net.Dial("tcp", r.Addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), "101 Switching") {
		t.Errorf("the upgraded connection ended with %q, error %v", b, err)
	}
	r.wait(t)
}

func TestRotatingLog(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, maxLog/4+1)
	for range 9 {
		if _, err := l.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, error %v; want two", files, err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Size() > maxLog {
			t.Errorf("%s: %d bytes, error %v; want at most %d", name, info.Size(), err, maxLog)
		}
	}
	if _, err := l.Write(chunk); err == nil {
		t.Error("a closed log was written to")
	}
}
