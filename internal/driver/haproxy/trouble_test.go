package haproxy_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/haproxy"
)

// TestRefusesPrograms: what is no HAProxy, or none that is supported, is refused
// before it serves anybody.
func TestRefusesPrograms(t *testing.T) {
	for what, c := range map[string]struct{ script, want string }{
		"an older one":   {"echo 'HAProxy version 2.4.22-1 2023/02/14 - https://haproxy.org/'", "older than 2.6"},
		"a very old one": {"echo 'HA-Proxy version 1.8.30 2021/04/12'", "older than 2.6"},
		"another thing":  {"echo 'nginx version: nginx/1.22.1'", "this is no HAProxy"},
		"nonsense":       {"printf 'HAProxy version \\377'", "this is no HAProxy"},
		"silence":        {"true", "this is no HAProxy"},
		"a failure":      {"echo '[ALERT] (1) : out of luck'; exit 1", "out of luck"},
		"none":           {"", "is not there"},
	} {
		t.Run(what, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "haproxy")
			if c.script != "" {
				if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			e, err := haproxy.New(haproxy.Config{Dir: folder(t), Listen: "127.0.0.1:0", Program: program})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			if runs, err := e.Runs(); err != nil || runs {
				t.Errorf("one runs: %v, error %v", runs, err)
			}
		})
	}
}

// impostor answers at both sockets as say tells, until the test has ended.
func impostor(t *testing.T, say func(command string) (answer string, ok bool)) *haproxy.Edge {
	t.Helper()
	dir := folder(t)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	for _, name := range []string{"m.sock", "w.sock"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() {
					defer c.Close()
					command, err := bufio.NewReader(c).ReadString('\n')
					if err != nil {
						return
					}
					answer, ok := say(strings.TrimSpace(command))
					if !ok {
						<-t.Context().Done() // never
						return
					}
					_, _ = c.Write([]byte(answer))
				})
			}
		})
		t.Cleanup(func() { _ = l.Close() })
	}
	e, err := haproxy.New(haproxy.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What an HAProxy says that serves nothing yet.
var sane = map[string]string{
	"show proc":          "#<PID> <type> <reloads> <uptime> <version>\n7 master 0 [failed: 0] 0d00h00m01s 2.6.12\n# workers\n8 worker 0 0d00h00m01s 2.6.12\n",
	"show info":          "Name: HAProxy\nPid: 8\ndescription: abt2-x\n",
	"show map":           "0x1 MODE here\n",
	"show servers state": "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n",
}

func TestNonsenseIsAnError(t *testing.T) {
	for command, good := range sane {
		for what, nonsense := range map[string]string{
			"text": "Unknown command. Please enter one of:\n", "nothing": "", "bytes": "\x00\xff\xfe\n\n\x1b[2J", "half": good[:len(good)/3],
		} {
			if command == "show map" && what == "nothing" {
				continue // an empty map is one
			}
			t.Run(command+"/"+what, func(t *testing.T) {
				e := impostor(t, func(asked string) (string, bool) {
					if strings.HasPrefix(asked, command) {
						return nonsense, true
					}
					for known, answer := range sane {
						if strings.HasPrefix(asked, known) {
							return answer, true
						}
					}
					return "", true
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := e.Apply(ctx, shop(1)); abt2.CodeOf(err) != abt2.CodeFailed {
					t.Errorf("Apply: error %v, want %s", err, abt2.CodeFailed)
				}
			})
		}
	}
}

// TestSilenceIsNotWaitedForLongerThanAsked: a gateway that hangs holds nobody.
func TestSilenceIsNotWaitedForLongerThanAsked(t *testing.T) {
	e := impostor(t, func(string) (string, bool) { return "", false })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := e.Apply(ctx, shop(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Apply: error %v, want that the time is over", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := e.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read: error %v, want that the time is over", err)
	}
}

// TestAHungHAProxySwitchesWhenItGoesOn: what could not be confirmed is not said
// to be, and repeating it brings it about.
func TestAHungHAProxySwitchesWhenItGoesOn(t *testing.T) {
	dir := folder(t)
	e := open(t, haproxy.Config{Dir: dir})
	one := module(t, "web-1-1", nil)
	apply(t, e, shop(1, one))
	pid := pidOf(dir, worker)
	goOn := sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(goOn)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := e.Apply(ctx, shop(2, one)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Apply to one that hangs: error %v, want that the time is over", err)
	}
	goOn()
	if status, body, _ := get(t, e, "/"); status != http.StatusOK || body != "web-1-1" {
		t.Errorf("after it hung: status %d, %q", status, body)
	}
	apply(t, e, shop(2, one))
}

// TestAFolderThatCannotBeWritten: what is served stays, and is told apart from
// what is not.
func TestAFolderThatCannotBeWritten(t *testing.T) {
	dir := folder(t)
	e := open(t, haproxy.Config{Dir: dir})
	one := module(t, "web-1-1", nil)
	apply(t, e, shop(1, one))
	// Nobody, root included, can remove a folder as if it were a link.
	blocked := filepath.Join(dir, "live.next")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), shop(2)); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), dir) {
		t.Errorf("Apply: error %v, want %s that names %s", err, abt2.CodeFailed, dir)
	}
	same(t, e, shop(1, one))
	if status, body, _ := get(t, e, "/"); status != http.StatusOK || body != "web-1-1" {
		t.Errorf("status %d, %q", status, body)
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	apply(t, e, shop(2, one))

	// A folder that cannot even be made is said at start.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := haproxy.New(haproxy.Config{Dir: filepath.Join(file, "haproxy"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Ready(t.Context()); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), file) {
		t.Errorf("Ready: error %v, want %s that names %s", err, abt2.CodeFailed, file)
	}
}
