package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/shim"
)

// TestMain makes the test binary a shim, or a module, when it is started as one.
func TestMain(m *testing.M) {
	programs := map[string]func(context.Context, string) error{
		"shim":   func(ctx context.Context, arg string) error { return shim.Run(ctx, strings.TrimPrefix(arg, "--dir=")) },
		"module": module,
	}
	if len(os.Args) == 3 && programs[os.Args[1]] != nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := programs[os.Args[1]](ctx, os.Args[2])
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// module is a program as an operator would put it: it listens where it is told
// to and ends when it is told to.
func module(ctx context.Context, _ string) error {
	fmt.Println("listening on", os.Getenv("PORT"))
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/dir", func(w http.ResponseWriter, _ *http.Request) {
		dir, _ := os.Getwd()
		fmt.Fprint(w, dir)
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	mux.HandleFunc("/print", func(_ http.ResponseWriter, r *http.Request) { fmt.Println(r.URL.RawQuery) })
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		return err
	}
	s := &http.Server{Handler: mux}
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// machine is a platform's folder and what a server would be configured with.
type machine struct {
	*testing.T
	dir string
	exe string
	log bytes.Buffer
	cfg Config
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-process-") // socket paths are short
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, dir: dir, exe: exe}
	m.cfg = Config{
		Dir: dir,
		// Under the race detector a process waits a second before it exits.
		Shim:       []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", exe, "shim"},
		Credential: func(id abt2.InstanceID) string { return "credential of " + string(id) },
	}
	// Test binaries of several packages run at once: each looks in its own corner.
	m.cfg.PortMin = 21000 + os.Getpid()%80*100
	m.cfg.PortMax = m.cfg.PortMin + 99
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := StopAll(ctx, dir, nil); err != nil {
			t.Errorf("StopAll: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("platform log:\n%s", m.log.String())
		}
	})
	return m
}

// server is a new server's platform value on the machine.
func (m *machine) server() *Platform {
	m.Helper()
	m.cfg.Log = slog.New(slog.NewTextHandler(&m.log, nil))
	p, err := New(m.cfg)
	if err != nil {
		m.Fatal(err)
	}
	return p
}

func (m *machine) workload(v abt2.VersionID, scale int) abt2.Workload {
	return abt2.Workload{
		Version: abt2.Version{
			ID:       v,
			Artifact: abt2.Artifact{Name: "server", Format: abt2.FormatExecutable},
			Config: abt2.Config{
				Kind: abt2.KindService, Health: "/healthz", Args: []string{"module", "run"},
				Env:          map[string]string{"GORACE": "atexit_sleep_ms=0"},
				ReadyTimeout: abt2.Duration(time.Minute), StopGrace: abt2.Duration(20 * time.Second),
			},
		},
		Scale: scale, Source: m.exe,
		Env: map[string]string{"ABT2_PRODUCT": "default", "ABT2_SERVER": "127.0.0.1:7070", "ABT2_NAME_STOCK": "127.0.0.1:7"},
	}
}

func (m *machine) apply(p *Platform, w abt2.Workload) {
	m.Helper()
	if err := p.Apply(m.Context(), w); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) instances(p *Platform) []abt2.Instance {
	m.Helper()
	all, err := p.Instances(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	return all
}

// until watches until ok.
func (m *machine) until(p *Platform, what string, ok func([]abt2.Instance) bool) []abt2.Instance {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 30*time.Second)
	changed, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); _ = p.Watch(ctx, changed) }()
	defer func() { cancel(); <-done }()
	var all []abt2.Instance
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			m.Fatalf("%s: not seen; last %+v", what, all)
		}
		if all = m.instances(p); ok(all) {
			return all
		}
	}
}

func (m *machine) healthy(p *Platform, n int) []abt2.Instance {
	m.Helper()
	return m.until(p, fmt.Sprint(n, " healthy instances"), func(all []abt2.Instance) bool {
		for _, i := range all {
			if i.State != abt2.InstanceHealthy {
				return false
			}
		}
		return len(all) == n
	})
}

func (m *machine) get(i abt2.Instance, path string) string {
	m.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + i.Address + path)
	if err != nil {
		m.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		m.Fatal(err)
	}
	return string(b)
}

// keeper returns the process id of an instance's shim.
func (m *machine) keeper(p *Platform, id abt2.InstanceID) int {
	m.Helper()
	p.mu.Lock()
	i := p.instances[id]
	p.mu.Unlock()
	d, err := i.describe(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	return int(d.GetIdentity().GetShim().GetPid())
}

func (m *machine) signal(pid int, sig syscall.Signal) {
	m.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		m.Fatal(err)
	}
}

func answers(i abt2.Instance) bool {
	c, err := net.Dial("tcp", i.Address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func TestPlatform(t *testing.T) {
	drivertest.Platform(t, func(t *testing.T) (abt2.Platform, drivertest.Fixture) {
		m := newMachine(t)
		return m.server(), drivertest.Fixture{
			Workload: func(_ *testing.T, v abt2.VersionID, scale int) abt2.Workload { return m.workload(v, scale) },
			Lives:    func(_ *testing.T, i abt2.Instance) bool { return answers(i) },
			Reopen:   func(*testing.T) abt2.Platform { return m.server() },
			Crash: func(t *testing.T, i abt2.Instance) {
				c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				if r, err := c.Get("http://" + i.Address + "/exit"); err == nil {
					_ = r.Body.Close()
					t.Fatal("/exit answered")
				}
			},
		}
	})
}

// sh makes a workload of a shell script.
func (m *machine) sh(script string) abt2.Workload {
	w := m.workload(order1, 1)
	w.Version.Config.Kind, w.Version.Config.Health = abt2.KindJob, ""
	w.Version.Config.Command, w.Version.Config.Args = []string{"sh", "-c", script}, nil
	return w
}

var order1 = abt2.VersionID{Module: "order", Number: 1}
