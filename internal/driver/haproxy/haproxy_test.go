package haproxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/haproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needHAProxy skips where there is none, on a laptop; CI must have one.
func needHAProxy(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("haproxy"); err == nil {
		return
	}
	const remedy = "haproxy is not installed; on Debian: apt-get install --no-install-recommends haproxy"
	if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
		t.Fatal(remedy)
	}
	t.Skip(remedy)
}

func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-ha-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// open returns an HAProxy that runs until the test has ended.
func open(t testing.TB, cfg haproxy.Config) *haproxy.Edge {
	t.Helper()
	needHAProxy(t)
	if cfg.Dir == "" {
		cfg.Dir = folder(t)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.DrainTimeout = time.Second
	e, err := haproxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keep(t, e))
	return e
}

// keep runs the supervisor; the function it returns ends HAProxy, too.
func keep(t testing.TB, e *haproxy.Edge) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
	}
}

// tell sends a command to the worker, as a hand at the machine would.
func tell(t *testing.T, dir, command string) string {
	t.Helper()
	said, err := ask(filepath.Join(dir, "w.sock"), command)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func ask(socket, command string) (string, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return strings.TrimSpace(string(b)), err
}

const (
	master = `(?m)^(\d+)\s+master`
	worker = `(?m)^(\d+)\s+worker\s+0`
)

// pidOf returns the process of that kind that runs in dir, 0 for none.
func pidOf(dir, kind string) int {
	said, err := ask(filepath.Join(dir, "m.sock"), "show proc")
	m := regexp.MustCompile(kind).FindStringSubmatch(said)
	if err != nil || m == nil {
		return 0
	}
	pid, _ := strconv.Atoi(m[1]) // digits, as matched
	return pid
}

// crash kills a process and returns when the supervisor has started others.
func crash(t *testing.T, dir, kind string) {
	t.Helper()
	oldMaster, oldWorker := pidOf(dir, master), pidOf(dir, worker)
	if err := syscall.Kill(pidOf(dir, kind), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		m, w := pidOf(dir, master), pidOf(dir, worker)
		said, err := ask(filepath.Join(dir, "w.sock"), "show info")
		return m != 0 && m != oldMaster && w != 0 && w != oldWorker && err == nil && strings.Contains(said, "\nPid: "+strconv.Itoa(w)+"\n")
	})
}

// pages stands for the built-in edge behind HAProxy.
type pages struct {
	address string
	lost    atomic.Bool // its server
}

func newPages(t *testing.T) *pages {
	p := &pages{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != abt2.ConnectedPath || p.lost.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	p.address = s.Listener.Addr().String()
	return p
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

// TestEdge runs the suite against the real HAProxy.
func TestEdge(t *testing.T) {
	drivertest.Edge(t, func(t *testing.T) drivertest.EdgeFixture {
		dir := folder(t)
		snippet := filepath.Join(dir, "own.cfg")
		settings := 0
		change := func() { // makes the next Apply start another process
			settings++
			if err := os.WriteFile(snippet, []byte("# "+strconv.Itoa(settings)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		change()
		pages := newPages(t)
		e := open(t, haproxy.Config{Dir: dir, Snippet: snippet, Pages: pages.address})
		address, err := e.Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		limits := strings.Join(e.Limits(), "\n")
		return drivertest.EdgeFixture{
			Edge: e, Address: address,
			KeepsTrailers:   strings.Contains(limits, "trailers"),
			KeepsToInstance: strings.Contains(limits, "not tried elsewhere"),
			Upgrade: func(t *testing.T) {
				change()
				r, err := e.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Apply(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			},
			Disconnect: func(t *testing.T) {
				pages.lost.Store(true)
				until(t, func() bool {
					return regexp.MustCompile(`(?m)^abt2-server,BACKEND,.*,DOWN,`).MatchString(tell(t, dir, "show stat"))
				})
			},
			Crash: func(t *testing.T) { crash(t, dir, master) },
			Drift: func(t *testing.T) {
				for _, m := range regexp.MustCompile(`(?m) E\|2~\w+(\S+) (\S+)$`).FindAllStringSubmatch(tell(t, dir, "show map live/routes.map"), -1) {
					if said := tell(t, dir, "set map live/routes.map "+m[1]+" "+m[2]+"|default|2~x"); said != "" {
						t.Fatal(said)
					}
				}
			},
		}
	})
}
