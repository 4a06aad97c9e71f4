// Package zktest runs a real ZooKeeper for tests: alone, or as an ensemble
// whose servers can be killed, frozen and started again.
//
// Debian's package zookeeper is what it needs (apt-get install
// --no-install-recommends zookeeper), or ZOOKEEPER_CLASSPATH naming the jars of
// another 3.8 and a java in PATH. Everything listens on 127.0.0.1. It uses the
// standard library alone, so that whoever imports it inherits no client.
package zktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Tick is ZooKeeper's unit of time in an ensemble: sessions last between 2 and
// 40 of it, and expire at a multiple of it.
const Tick = 250 * time.Millisecond

// SessionTimeout is the shortest session that is granted.
const SessionTimeout = 2 * Tick

// classpath is where Debian's package puts what runs.
const classpath = "/usr/share/java/zookeeper.jar"

// patience bounds the wait for what ZooKeeper does by itself.
const patience = 2 * time.Minute

// Ensemble is some ZooKeeper servers that are one service. Its methods end the
// test when they fail, so they are for the test's own goroutine.
type Ensemble struct {
	t       testing.TB
	servers []*server
}

// Start runs an ensemble of n servers, 1 or 3, and returns when it serves. It
// ends with the test. Without a ZooKeeper on this machine the test is skipped,
// or fails where ABT2_CI or CI is set.
func Start(t testing.TB, n int) *Ensemble {
	t.Helper()
	return start(t, n, SessionTimeout)
}

// StartPatient is Start with sessions that outlive a client that is paused for
// seconds on a busy machine, whatever it asks for.
func StartPatient(t testing.TB, n int) *Ensemble {
	t.Helper()
	return start(t, n, patience)
}

func start(t testing.TB, n int, session time.Duration) *Ensemble {
	t.Helper()
	jars := Classpath(t)
	ports := freePorts(t, 3*n)
	var members strings.Builder
	if n > 1 {
		for i := range n {
			fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d\n", i+1, ports[n+i], ports[2*n+i])
		}
	}
	e := &Ensemble{t: t}
	t.Cleanup(func() {
		for i := range e.servers {
			e.Kill(i)
		}
	})
	for i := range n {
		s := &server{jars: jars, dir: t.TempDir(), address: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))}
		if err := s.configure(ports[i], i+1, session, members.String()); err != nil {
			t.Fatal(err)
		}
		e.servers = append(e.servers, s)
		e.Restart(i)
	}
	e.AwaitReady()
	return e
}

// Classpath returns what java needs to run ZooKeeper, or its command line and
// clients in Java.
func Classpath(t testing.TB) string {
	t.Helper()
	jars := os.Getenv("ZOOKEEPER_CLASSPATH")
	_, err := exec.LookPath("java")
	if jars == "" && err == nil {
		jars = classpath
		_, err = os.Stat(jars)
	}
	if err == nil {
		return jars
	}
	if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
		t.Fatalf("no ZooKeeper to test with: %v; apt-get install --no-install-recommends zookeeper", err)
	}
	t.Skipf("no ZooKeeper to test with: %v; apt-get install --no-install-recommends zookeeper", err)
	return ""
}

// freePorts returns ports on which nobody listens now. They are below the range
// from which the system gives out its own, so that no connection takes one.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for len(ports) < n {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+rand.IntN(18000))))
		if err != nil {
			continue
		}
		defer l.Close() // not before all are chosen
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Len is the number of servers.
func (e *Ensemble) Len() int { return len(e.servers) }

// Addresses are host:port of the servers, for clients.
func (e *Ensemble) Addresses() []string {
	var out []string
	for _, s := range e.servers {
		out = append(out, s.address)
	}
	return out
}

// Connect is the servers' addresses as one string, separated by commas.
func (e *Ensemble) Connect() string { return strings.Join(e.Addresses(), ",") }

// Kill ends server i as a crash would; it keeps its data.
func (e *Ensemble) Kill(i int) { e.servers[i].kill() }

// KillAll ends every server at once.
func (e *Ensemble) KillAll() {
	for i := range e.servers {
		e.Kill(i)
	}
}

// Restart starts server i, after ending it if it runs. It does not wait for the
// server to serve.
func (e *Ensemble) Restart(i int) {
	e.t.Helper()
	e.Kill(i)
	if err := e.servers[i].start(); err != nil {
		e.t.Fatalf("zookeeper server %d: %v", i, err)
	}
}

// RestartAll ends and starts every server, and returns when they serve.
func (e *Ensemble) RestartAll() {
	e.t.Helper()
	e.KillAll()
	for i := range e.servers {
		e.Restart(i)
	}
	e.AwaitReady()
}

// Pause lets server i stand still, connections kept, until Resume.
func (e *Ensemble) Pause(i int) { e.signal(i, syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (e *Ensemble) Resume(i int) { e.signal(i, syscall.SIGCONT) }

func (e *Ensemble) signal(i int, sig syscall.Signal) {
	e.t.Helper()
	s := e.servers[i]
	if s.cmd == nil {
		e.t.Fatalf("zookeeper server %d does not run", i)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		e.t.Fatalf("zookeeper server %d: %v", i, err)
	}
}

// Leader returns which server leads, waiting for an election to end. One that was
// paused still calls itself leader for a moment after Resume. A server
// alone leads.
func (e *Ensemble) Leader() int {
	e.t.Helper()
	leader := -1
	e.await("a leader", func() bool {
		for i, s := range e.servers {
			if m := s.mode(); m == "leader" || m == "standalone" {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// AwaitReady returns when every server that runs serves clients.
func (e *Ensemble) AwaitReady() {
	e.t.Helper()
	e.await("the servers to serve", func() bool {
		for i, s := range e.servers {
			select {
			case <-s.ended:
				e.t.Fatalf("zookeeper server %d ended: %s", i, s.log())
			default:
			}
			if s.cmd != nil && s.mode() == "" {
				return false
			}
		}
		return true
	})
}

// await polls: servers tell nobody when they are ready.
func (e *Ensemble) await(what string, ok func() bool) {
	e.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			for i, s := range e.servers {
				e.t.Logf("server %d: mode %q: %s", i, s.mode(), s.log())
			}
			e.t.Fatalf("zookeeper: waited %v for %s", patience, what)
		}
	}
}

// Log returns what server i has printed.
func (e *Ensemble) Log(i int) string { return e.servers[i].log() }

// server is one ZooKeeper process and its data.
type server struct {
	jars, dir, address string

	cmd   *exec.Cmd // nil while it does not run
	ended chan struct{}
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// configure writes what the server reads when it starts. clientPort is given
// beside the address because members of an ensemble ask for it.
func (s *server) configure(port, id int, session time.Duration, members string) error {
	config := fmt.Sprintf(`tickTime=%d
minSessionTimeout=%d
maxSessionTimeout=%d
initLimit=40
syncLimit=8
dataDir=%s
clientPort=%d
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr,mntr,wchs,dump,cons
%s`, Tick.Milliseconds(), session.Milliseconds(), max(40*Tick, session).Milliseconds(), s.path("data"), port, members)
	if err := os.MkdirAll(s.path("data"), 0o700); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(s.path("zoo.cfg"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(s.path("data"), "myid"), []byte(strconv.Itoa(id)), 0o600))
}

// start runs java, small and quick to start. What is written need not survive
// the machine, so nothing waits for the disk.
func (s *server) start() error {
	out, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dzookeeper.forceSync=no", "-Dzookeeper.cnxTimeout=500", "-Dzookeeper.jmx.log4j.disable=true", "-Djava.net.preferIPv4Stack=true",
		"-cp", s.jars, "org.apache.zookeeper.server.quorum.QuorumPeerMain", s.path("zoo.cfg"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	ended, err := startTethered(cmd)
	if err != nil {
		return err
	}
	s.cmd, s.ended = cmd, ended
	return nil
}

func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
	s.cmd, s.ended = nil, nil
}

// mode is what the server says it is: leader, follower or standalone; empty
// while it does not serve.
func (s *server) mode() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := ask(ctx, s.address, "srvr")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(answer, "\nMode: ")
	mode, _, _ := strings.Cut(rest, "\n")
	return mode
}

func (s *server) log() string {
	b, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
