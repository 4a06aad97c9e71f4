package all_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/driver/haproxy"
	"abt2.dev/internal/edge"
	"abt2.dev/internal/feed"
)

// throughputRounds is how often each gateway takes its turn.
const throughputRounds = 41

// BenchmarkThroughput compares the edges with gateways that do nothing but pass
// requests on to the same module: HAProxy, the same HAProxy when it tries again
// as the driver's does, nginx, and Go's ReverseProxy. Each is a process, or
// several, of its own. They take turns, in rounds so short that
// what else the machine does strikes them alike; of the ratios of the rounds the
// median is shown.
func BenchmarkThroughput(b *testing.B) {
	for program, pkg := range map[string]string{"haproxy": "haproxy", "nginx": "nginx-light"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("ABT2_CI") != "" {
			b.Fatalf("%s is not installed; on Debian: apt-get install --no-install-recommends %s", program, pkg)
		} else if err != nil {
			b.Skip(program + " is not installed")
		}
	}
	module := startModule(b)
	ways := []struct {
		name string
		load *load
	}{
		{"haproxy-edge", newLoad(b, startHAProxyEdge(b, module))},
		{"bare-haproxy", newLoad(b, startBareHAProxy(b, module, ""))},
		{"retrying-haproxy", newLoad(b, startBareHAProxy(b, module, sameSettings))},
		{"nginx", newLoad(b, startNginx(b, module))},
		{"builtin-edge", newLoad(b, startBuiltinEdge(b, module))},
		{"reverseproxy", newLoad(b, startReverseProxy(b, module))},
	}
	took := make([][]float64, len(ways))
	for b.Loop() {
		for i := range throughputRounds {
			for j := range ways {
				j = (i + j) % len(ways)
				took[j] = append(took[j], ways[j].load.run(b).Seconds())
			}
		}
	}
	for i, w := range ways {
		b.ReportMetric(loadConnections*loadRequests/median(took[i]), w.name+"-req/s")
	}
	of := func(edge, bare int) float64 {
		ratios := make([]float64, len(took[edge]))
		for i := range ratios {
			ratios[i] = took[bare][i] / took[edge][i]
		}
		return median(ratios)
	}
	b.ReportMetric(of(0, 1), "haproxy-of-bare")
	b.ReportMetric(of(0, 2), "haproxy-of-retrying")
	b.ReportMetric(of(0, 3), "haproxy-of-nginx")
	b.ReportMetric(of(4, 5), "builtin-of-reverseproxy")
	b.ReportMetric(0, "ns/op") // of a whole turn of all: it says nothing
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

// online routes everybody to one module.
func online(module string) abt2.EdgeRoutes {
	web := abt2.VersionID{Module: "web", Number: 1}
	return abt2.EdgeRoutes{Table: abt2.Table{
		Mark: abt2.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: 1,
		Products:     []abt2.TableProduct{{Name: abt2.DefaultProduct, Online: 1}},
		Environments: []abt2.TableEnvironment{{ID: 1, Product: abt2.DefaultProduct, Modules: []abt2.VersionID{web}, WasOnline: true}},
		Versions: []abt2.TableVersion{{
			ID: web, Kind: abt2.KindEdge, Prefix: "/", Fallback: abt2.FallbackNone,
			Instances: []abt2.TableInstance{{ID: "web-1-1", Address: module}},
		}},
	}}
}

func startHAProxyEdge(b *testing.B, module string) (address string) {
	e, err := haproxy.New(haproxy.Config{Dir: shortDir(b), Listen: "127.0.0.1:0", DrainTimeout: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	if address, err = e.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	if err := e.Apply(b.Context(), online(module)); err != nil {
		b.Fatal(err)
	}
	return address
}

// startBuiltinEdge runs the test's own program as the edge; see TestMain.
func startBuiltinEdge(b *testing.B, module string) (address string) {
	const id, secret = "edge-1", "secret"
	f := feed.New(slog.New(slog.DiscardHandler), feed.AuthenticatorFunc(func(context.Context, string) (feed.Identity, error) {
		return feed.Identity{Kind: feed.KindEdge, ID: id}, nil
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(f.Handler())
	server := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	b.Cleanup(func() { f.Close(); _ = server.Close(); <-served })

	dir := shortDir(b)
	if err := os.WriteFile(filepath.Join(dir, edge.CredentialFile), []byte(secret+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := builtin.NewSupervisor(builtin.SupervisorConfig{
		Dir: dir, ID: id, Command: append(ownProgram(b), "edge", id, dir, l.Addr().String()),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
		if err := s.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	d, err := s.Ready(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := builtin.NewEdge(f, id).Apply(b.Context(), online(module)); err != nil {
		b.Fatal(err)
	}
	return d.Addresses[0]
}

// beEdge is the built-in edge's process.
func beEdge(id, dir, server string) error {
	return edge.Run(context.Background(), edge.Config{ID: id, Dir: dir, Listen: "127.0.0.1:0", Server: server, DrainTimeout: time.Second})
}

// startReverseProxy runs the test's own program as a proxy; see TestMain.
func startReverseProxy(b *testing.B, module string) (address string) {
	address = free(b)
	start(b, address, append(ownProgram(b), "reverseproxy", address, module)...)
	return address
}

// beReverseProxy is a bare proxy: as the standard library has it, but that it
// keeps as many connections to the module as it needs. Otherwise it would be
// measured how fast it opens them.
func beReverseProxy(address, module string) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2 * loadConnections
	return http.ListenAndServe(address, &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: module})
			p.SetXForwarded()
		},
		Transport: transport,
	})
}

// startBareHAProxy runs an HAProxy that only passes requests on: one frontend,
// one backend. settings are further lines of its defaults.
func startBareHAProxy(b *testing.B, module, settings string) (address string) {
	address = free(b)
	conf := writeConf(b, b.TempDir(), `defaults
	mode http
	timeout connect 2s
	timeout client 1h
	timeout server 1h
`+settings+`frontend users
	bind `+address+`
	default_backend module
backend module
	server one `+module+`
`)
	start(b, address, "haproxy", "-db", "-f", conf)
	return address
}

// sameSettings are the driver's.
const sameSettings = `	timeout http-request 10s
	timeout http-keep-alive 2m
	option abortonclose
	option idle-close-on-response
	balance random(2)
	retries 3
	option redispatch 1
	retry-on conn-failure empty-response
`

const nginxHead = `daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
`

// startModule runs an nginx as a module, as cheap as there is.
func startModule(b *testing.B) (address string) {
	address = free(b)
	runNginx(b, address, `	server { listen `+address+`; location / { return 200 "hello"; } }
`)
	return address
}

func startNginx(b *testing.B, module string) (address string) {
	address = free(b)
	runNginx(b, address, `	upstream module { server `+module+`; keepalive 64; keepalive_requests 1000000000; }
	server {
		listen `+address+`;
		location / {
			proxy_pass http://module;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
		}
	}
`)
	return address
}

func runNginx(b *testing.B, address, servers string) {
	dir := b.TempDir()
	start(b, address, "nginx", "-p", dir, "-c", writeConf(b, dir, nginxHead+servers+"}\n"))
}

func writeConf(b *testing.B, dir, text string) (path string) {
	path = filepath.Join(dir, "conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// start runs a program until the benchmark ends, and returns when it listens. It
// is a session of its own, as the edges are: the system shares out time by session.
func start(b *testing.B, address string, command ...string) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	tick := time.NewTicker(time.Millisecond) // nothing tells that it listens
	defer tick.Stop()
	for range tick.C {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if b.Context().Err() != nil {
			b.Fatal(err)
		}
	}
}

func ownProgram(b *testing.B) []string {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return []string{exe}
}

// shortDir is a folder in which sockets can be reached.
func shortDir(b *testing.B) string {
	dir, err := os.MkdirTemp("/tmp", "abt2-all-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// free returns an address that nobody listens on.
func free(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// be is what the test's own program does as one of the processes above; it
// returns false where it is to test.
func be(args []string) bool {
	var err error
	switch {
	case len(args) == 5 && args[1] == "edge":
		err = beEdge(args[2], args[3], args[4])
	case len(args) == 4 && args[1] == "reverseproxy":
		err = beReverseProxy(args[2], args[3])
	default:
		return false
	}
	fmt.Fprintln(os.Stderr, strings.Join(args, " "), err)
	return true
}
