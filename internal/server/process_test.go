package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/api"
	"abt2.dev/internal/server"
)

// daemon is a server process that a test has started, and what it says with all
// that follow it.
type daemon struct {
	*exec.Cmd
	exited chan error // how it has ended
	ready  chan int   // the process ids of those that are ready
}

// startProcess runs the server as a process of its own and returns when it is ready.
func (in *installation) startProcess(env ...string) *daemon {
	in.t.Helper()
	log, err := os.OpenFile(filepath.Join(in.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		in.t.Fatal(err)
	}
	defer log.Close()
	out, w, err := os.Pipe()
	if err != nil {
		in.t.Fatal(err)
	}
	p := &daemon{Cmd: exec.Command(in.command, append([]string{"server", in.dir}, in.args...)...), exited: make(chan error, 1), ready: make(chan int, 100)}
	p.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	p.Stdout, p.Stderr = w, log
	if err := p.Start(); err != nil {
		in.t.Fatal(err)
	}
	w.Close()
	go func() { p.exited <- p.Wait() }()
	read := make(chan struct{})
	addresses := make(chan server.Addresses, 1)
	go func() { // ends with the last of them
		defer close(read)
		defer close(p.ready)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var pid int
			var a server.Addresses
			if _, err := fmt.Sscan(lines.Text(), &a.API, &a.Edge, &pid); err == nil {
				p.ready <- pid
				select {
				case addresses <- a:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, out)
		out.Close()
	}()
	in.stop = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, err := server.Down(ctx, in.dir, false, slog.New(slog.DiscardHandler))
		<-read
		return err
	})
	if pid := p.next(in.t); pid != p.Process.Pid {
		in.t.Fatalf("process %d is ready, not %d", pid, p.Process.Pid)
	}
	a := <-addresses
	in.edge = a.Edge
	in.api = api.NewClient(a.API, in.token, nil)
	return p
}

// next returns the process id of the next server that is ready.
func (p *daemon) next(t testing.TB) int {
	t.Helper()
	select {
	case pid, ok := <-p.ready:
		if !ok {
			t.Fatal("no server is left")
		}
		return pid
	case <-time.After(time.Minute):
		t.Fatal("no server is ready")
	}
	return 0
}

func TestAServerThatIsKilledComesBack(t *testing.T) {
	in := prepare(t)
	p := in.startProcess()
	in.release()
	load := in.underLoad()
	before, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || !before.Faults {
		t.Fatalf("faults are allowed: %v, %v", before.Faults, err)
	}
	last := p.Process.Pid
	for _, away := range []time.Duration{0, 300 * time.Millisecond} {
		f, err := in.api.Disturb(t.Context(), abt2.FaultRequest{By: ann, Product: abt2.DefaultProduct, Kind: abt2.FaultServerKill, For: away})
		if err != nil || f.Target != "server" || f.For != away {
			t.Fatalf("server-kill for %v: %+v, %v", away, f, err)
		}
		heir := p.next(t)
		if heir == last {
			t.Fatalf("process %d follows itself", heir)
		}
		last = heir
	}
	if err := <-p.exited; !strings.Contains(err.Error(), "killed") {
		t.Errorf("the server ended with %v", err)
	}
	in.noDifference()
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	after, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || fmt.Sprint(before.Instances) != fmt.Sprint(after.Instances) {
		t.Errorf("instances were %v, are %v; %v", before.Instances, after.Instances, err)
	}
	history, err := in.api.History(t.Context(), abt2.DefaultProduct, 2)
	if err != nil || len(history) != 2 || history[0].Text != "server-kill of server for 300ms" || history[1].Operator != "ann" {
		t.Errorf("history: %+v, %v", history, err)
	}

	// One that stays away is found, and ended for good.
	if _, err := in.api.Disturb(t.Context(), abt2.FaultRequest{By: ann, Product: abt2.DefaultProduct, Kind: abt2.FaultServerKill, For: abt2.LongestFault}); err != nil {
		t.Fatal(err)
	}
	in.until("the heir has the folder", func() bool {
		lines, err := server.Down(t.Context(), in.dir, true, slog.New(slog.DiscardHandler))
		return err == nil && len(lines) > 0 && lines[0] == "server" && !alive(last)
	})
	if err := in.stop(); err != nil { // returns when the last of them has ended
		t.Fatal(err)
	}
	in.start()
	in.whole()
	if got := in.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("users see %s", got)
	}
}

// Whatever is struck, one after the other, nobody is failed: what waits is
// answered when it goes on.
func TestFaultsOfInstances(t *testing.T) {
	in := prepare(t)
	in.startProcess()
	in.release()
	load := in.underLoad()
	for pick, kind := range []abt2.FaultKind{abt2.FaultInstanceKill, abt2.FaultRouterPause, abt2.FaultSlowRouter, abt2.FaultInstanceKill} {
		q := abt2.FaultRequest{By: ann, Product: abt2.DefaultProduct, Kind: kind, Pick: uint64(pick), For: 500 * time.Millisecond}
		var f abt2.Fault
		in.until("something to spare", func() bool {
			var err error
			f, err = in.api.Disturb(t.Context(), q)
			if err != nil && abt2.CodeOf(err) != abt2.CodeRefused {
				t.Fatal(err)
			}
			return err == nil
		})
		t.Log(f)
		in.until("the end of it", func() bool { // validate looks anew, and status tells what it saw
			in.whole()
			s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
			if err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(s.Instances, func(i abt2.InstanceStatus) bool { return i.Detail != "" })
		})
	}
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
}

// A server that is asked to end, before it has killed itself, takes its heir along.
func TestADoomedServerEndsAsAsked(t *testing.T) {
	in := prepare(t)
	p := in.startProcess()
	// Over HTTP/2 nobody tells when an answer is out: there is a second left.
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := api.NewClient("http://"+strings.TrimSpace(read(t, filepath.Join(in.dir, "listen"))), in.token, &http.Client{Transport: transport})
	kill := abt2.FaultRequest{By: ann, Product: abt2.DefaultProduct, Kind: abt2.FaultServerKill}
	if _, err := client.Disturb(t.Context(), kill); err != nil {
		t.Fatal(err)
	}
	_, again := client.Disturb(t.Context(), kill)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-p.exited; err != nil {
		t.Skipf("this machine is so slow that the server was dead before it was asked: %v", err)
	}
	if abt2.CodeOf(again) != abt2.CodeRefused {
		t.Errorf("a second death: %v, want refused", again)
	}
	if pid, ok := <-p.ready; ok {
		t.Errorf("process %d follows a server that was asked to end", pid)
	}
}

// An heir that finds the folder in other hands has nothing to do.
func TestAnHeirComesTooLate(t *testing.T) {
	in := install(t)
	cmd := exec.Command(in.command, "server", in.dir)
	cmd.Env = append(os.Environ(), "ABT2_HEIR_OF=1 0s", "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "level=ERROR") || strings.Contains(string(out), "ready") {
		t.Errorf("the heir ended with %v:\n%s", err, out)
	}
	if _, err := in.api.Status(t.Context(), abt2.DefaultProduct); err != nil {
		t.Error(err)
	}
}

// whole returns when everything runs that should.
func (in *installation) whole() {
	in.t.Helper()
	in.until("no difference", func() bool {
		d, err := in.api.Validate(in.t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct})
		return err == nil && len(d) == 0
	})
}

// alive tells whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// until waits for what gives no signal.
func (in *installation) until(what string, ok func() bool) {
	in.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			in.t.Fatalf("%s: not seen", what)
		}
	}
}
