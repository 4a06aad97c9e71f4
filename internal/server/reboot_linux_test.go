package server_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/api"
)

// machine runs an installation's server in a process namespace of its own: what
// the server starts dies with it at once, as with a machine that loses its
// power, and process ids begin anew.
type machine struct {
	*installation
	init *exec.Cmd
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	if out, err := namespace("true").CombinedOutput(); err != nil {
		t.Skipf("process namespaces cannot be made here (%v): %s", err, out)
	}
	m := &machine{installation: prepare(t)}
	m.boot()
	return m
}

// namespace is a command that is process 1 of a namespace: it takes along all
// that it has started.
func namespace(command ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", `mount -t proc proc /proc && exec "$@"`, "sh"}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	return cmd
}

// boot starts the machine and returns when the server is ready.
func (m *machine) boot() {
	m.t.Helper()
	log, err := os.OpenFile(filepath.Join(m.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.init = namespace(m.command, "server", m.dir)
	m.init.Stderr = log
	out, err := m.init.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.init.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.stop = func() error { m.powerOff(); return nil }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		m.t.Fatalf("the server ended before it was ready: %v", err)
	}
	where := strings.Fields(line)
	m.api, m.edge = api.NewClient(where[0], m.token, nil), where[1]
}

// powerOff ends everything that runs on the machine, and returns when it has.
func (m *machine) powerOff() {
	_ = m.init.Process.Kill()
	_ = m.init.Wait() // it says that it was killed
}

// standing waits until nothing is missing.
func (m *machine) standing(limit time.Duration) {
	m.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond) // a status cannot be waited for
	defer again.Stop()
	for {
		s, err := m.api.Status(m.t.Context(), abt2.DefaultProduct)
		if err == nil && len(s.Missing) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			m.t.Fatalf("still missing: %+v, %v", s.Missing, err)
		}
	}
}

func TestAMachineComesBackByItself(t *testing.T) {
	m := newMachine(t)
	m.release()
	m.create()
	m.put("web", "order", 2, "", false)
	m.put("order", "", 2, "", false)
	cookie := m.verb(abt2.VerbShip).Cookie

	m.powerOff()
	if _, err := hopsOf(t.Context(), http.DefaultClient, m.edge+"/", ""); err == nil {
		t.Fatal("users are served by a machine without power")
	}
	m.boot()
	m.standing(time.Minute)
	if got := m.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("users see %s", got)
	}
	if got := m.page(cookie); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("the cookie shows %s", got)
	}
	m.noDifference()
	m.runsOnce()
	m.verb(abt2.VerbCommit)
	if got := m.page(""); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("after commit users see %s", got)
	}
}

// runsOnce finds every process of a module twice: in what the platform lists,
// and among the machine's processes. Neither may have more than the other.
func (m *machine) runsOnce() {
	m.t.Helper()
	s, err := m.api.Status(m.t.Context(), abt2.DefaultProduct)
	if err != nil {
		m.t.Fatal(err)
	}
	want := map[string]int{}
	for _, i := range s.Instances {
		want["ABT2_INSTANCE="+string(i.ID)] = 1
	}
	got := map[string]int{}
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, path := range environments {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), m.dir) {
			continue // has ended, or is not of this machine
		}
		for v := range strings.SplitSeq(string(b), "\x00") {
			if strings.HasPrefix(v, "ABT2_INSTANCE=") {
				got[v]++
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Errorf("processes: %v; want %v", got, want)
	}
}

// BenchmarkReboot is how long 20 modules of two instances take to come back.
func BenchmarkReboot(b *testing.B) {
	const modules = 20
	m := newMachine(b)
	m.create()
	for i := range modules {
		name := abt2.ModuleName(fmt.Sprintf("module-%d", i))
		m.put(name, "", 1, fmt.Sprintf("kind: edge\nprefix: /%d\ninstances: 2\nhealth: /healthz\nready_timeout: 60s\n", i), true)
	}
	for _, v := range []abt2.Verb{abt2.VerbShip, abt2.VerbCommit, abt2.VerbClean} {
		m.verb(v)
	}
	for b.Loop() {
		b.StopTimer()
		m.powerOff()
		b.StartTimer()
		m.boot()
		m.standing(time.Minute)
	}
}
