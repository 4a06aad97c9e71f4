package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
)

// manager starts processes as the units of abt2 install-systemd have them
// started, and hears what they say of themselves by sd_notify(3).
type manager struct {
	in     *installation
	said   chan string
	env    string   // where it listens, as processes are told
	socket *os.File // of the socket unit: open as long as the manager is
	url    string
}

func (in *installation) manage() *manager {
	in.t.Helper()
	m := &manager{in: in, said: make(chan string, 100)}
	path := filepath.Join(in.dir, "notify.sock")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		in.t.Fatal(err)
	}
	m.env = "NOTIFY_SOCKET=" + path
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<10)
		for {
			n, err := heard.Read(b)
			if err != nil {
				return
			}
			m.said <- string(b[:n])
		}
	}()
	in.t.Cleanup(func() { heard.Close(); <-done })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		in.t.Fatal(err)
	}
	m.url = "http://" + l.Addr().String()
	m.socket, err = l.(*net.TCPListener).File()
	if err != nil {
		in.t.Fatal(err)
	}
	l.Close()
	in.t.Cleanup(func() { m.socket.Close() })
	return m
}

// hear returns when a process has said that.
func (m *manager) hear(state string) {
	m.in.t.Helper()
	select {
	case said := <-m.said:
		if said != state {
			m.in.t.Fatalf("heard %q, want %q", said, state)
		}
	case <-time.After(time.Minute):
		m.in.t.Fatalf("%s is not heard", state)
	}
}

// startEdge starts the edge on the socket.
func (m *manager) startEdge() *daemon {
	m.in.t.Helper()
	p := &daemon{exited: make(chan error, 1), Cmd: exec.Command("/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh",
		m.in.command, "edge", "--dir="+filepath.Join(m.in.dir, "edge"), "--wait")}
	p.Env, p.ExtraFiles, p.Stderr = append(os.Environ(), m.env, "GORACE=atexit_sleep_ms=0"), []*os.File{m.socket}, os.Stderr
	if err := p.Start(); err != nil {
		m.in.t.Fatal(err)
	}
	go func() { p.exited <- p.Wait() }()
	return p
}

// stop ends the main process of a unit, and nothing else.
func (m *manager) stop(p *daemon) {
	m.in.t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		m.in.t.Fatal(err)
	}
	m.hear("STOPPING=1")
	if err := <-p.exited; err != nil {
		m.in.t.Errorf("%s ended with %v", p.Args, err)
	}
}

// Server and edge as units of their own: each is stopped and started, and users
// notice neither. Clients that would not repeat a request are among them.
func TestUnits(t *testing.T) {
	in := prepare(t)
	m := in.manage()
	in.args = []string{"--edge-start=false"}
	edge := m.startEdge() // before there is a folder for it
	p := in.startProcess(m.env)
	m.hear("READY=1")
	m.hear("READY=1")
	if in.edge != m.url {
		t.Errorf("the server says that the edge is at %s; the socket is %s", in.edge, m.url)
	}
	in.release()
	before, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil {
		t.Fatal(err)
	}
	load := in.underLoad()
	orders, noMore := in.order()

	m.stop(p)
	if got := in.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("without a server users see %s", got)
	}
	in.startProcess(m.env)
	m.hear("READY=1")
	in.noDifference()

	for range 3 {
		asked := orders.Load()
		m.stop(edge)
		edge = m.startEdge() // connections wait for it
		m.hear("READY=1")
		in.until("more orders", func() bool { return orders.Load() > asked+1 })
	}
	in.whole()
	after, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || fmt.Sprint(before.Instances) != fmt.Sprint(after.Instances) {
		t.Errorf("instances were %v, are %v; %v", before.Instances, after.Instances, err)
	}
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	noMore()

	_, err = in.api.Disturb(t.Context(), abt2.FaultRequest{By: ann, Product: abt2.DefaultProduct, Kind: abt2.FaultEdgeUpgrade})
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "systemctl restart abt2-edge.service") {
		t.Errorf("an upgrade of an edge that is somebody else's: %v, want refused, with what to do instead", err)
	}
	if err := in.stop(); err != nil { // abt2 down
		t.Fatal(err)
	}
	if err := <-edge.exited; err != nil { // so that Restart=on-failure does not start it again
		t.Errorf("after abt2 down the edge ended with %v", err)
	}
}

// order places orders one after the other until noMore is called, which each must
// be taken: a client repeats no POST.
func (in *installation) order() (taken *atomic.Int64, noMore func()) {
	taken = new(atomic.Int64)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	url := in.edge + "/"
	go func() {
		defer close(done)
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			res, err := client.Post(url, "text/plain", strings.NewReader("1 book"))
			if err != nil {
				in.t.Errorf("an order was not taken: %v", err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body) // the connection is kept for the next
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				in.t.Errorf("an order was not taken: %s", res.Status)
				return
			}
			taken.Add(1)
		}
	}()
	noMore = func() { cancel(); <-done }
	in.t.Cleanup(noMore)
	return taken, noMore
}
