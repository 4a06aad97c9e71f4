package process

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

func TestServerDeathTouchesNothing(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.workload(order1, 2))
	before := m.healthy(p, 2)
	var pids []string
	for _, i := range before {
		pids = append(pids, m.get(i, "/pid"))
	}
	p = m.server()
	m.apply(p, m.workload(order1, 2))
	for n, i := range m.healthy(p, 2) {
		if got := m.get(i, "/pid"); got != pids[n] || i.ID != before[n].ID {
			t.Errorf("%s is process %s, was %s with %s", i.ID, got, before[n].ID, pids[n])
		}
	}
}

func TestKilledShim(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.workload(order1, 1))
	before := m.healthy(p, 1)[0]
	pid := m.get(before, "/pid")
	m.signal(m.keeper(p, before.ID), syscall.SIGKILL)
	dead := m.unreachable(p)
	if !strings.Contains(dead.Detail, "its shim has ended") || dead.Address != before.Address {
		t.Errorf("a dead shim's instance: %+v", dead)
	}
	if _, err := p.Instances(t.Context()); err != nil { // which reaps
		t.Fatal(err)
	}
	p = m.server() // whoever comes next
	m.apply(p, m.workload(order1, 1))
	after := m.healthy(p, 1)[0]
	if after.ID != before.ID || after.Address != before.Address || m.get(after, "/pid") == pid {
		t.Errorf("after its shim's death: %+v process %s, before: %+v process %s", after, m.get(after, "/pid"), before, pid)
	}
}

// A platform that watches starts again what it has seen running.
func TestAKilledShimIsStartedAgain(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.workload(order1, 1))
	before := m.healthy(p, 1)[0]
	shim := m.keeper(p, before.ID)
	killed := false
	after := m.until(p, "another shim", func(all []abt2.Instance) bool {
		if !killed {
			killed = true
			m.signal(shim, syscall.SIGKILL)
		}
		pid, alive, err := shimpb.Keeper(filepath.Dir(m.record(before)))
		return all[0].State == abt2.InstanceHealthy && err == nil && alive && pid != shim
	})[0]
	if after.ID != before.ID || after.Address != before.Address || m.get(after, "/healthz") != "ok\n" {
		t.Errorf("%+v, was %+v", after, before)
	}
	if err := p.Remove(t.Context(), order1); err != nil || len(m.instances(p)) > 0 {
		t.Errorf("Remove: %v, left %v", err, m.instances(p))
	}
}

func TestRemoveAfterKilledShim(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	w := m.sh(`sleep 1000 & echo $! > $ABT2_STATE/pid; wait`)
	m.apply(p, w)
	i := m.healthy(p, 1)[0]
	file := filepath.Join(m.dir, instancesDir, string(i.ID), "state", "pid")
	var orphan int
	m.poll("the orphan", func() bool {
		b, _ := os.ReadFile(file)
		var err error
		orphan, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	m.signal(m.keeper(p, i.ID), syscall.SIGKILL)
	if err := p.Remove(t.Context(), order1); err != nil {
		t.Fatal(err)
	}
	m.poll("the orphan's end", func() bool { // it is init's to reap
		b, err := os.ReadFile("/proc/" + strconv.Itoa(orphan) + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	})
	if all := m.instances(p); len(all) != 0 {
		t.Errorf("after Remove: %+v", all)
	}
}

func TestSuspendedShim(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.workload(order1, 1))
	i := m.healthy(p, 1)[0]
	pid := m.keeper(p, i.ID)
	m.signal(pid, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	m.poll("the suspension", func() bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(b), ") T ")
	})
	all := m.instances(p)
	if len(all) != 1 || all[0].State != abt2.InstanceUnreachable || !strings.Contains(all[0].Detail, strconv.Itoa(pid)) {
		t.Errorf("a suspended shim's instance: %+v", all)
	}
	m.apply(p, m.workload(order1, 1))
	if all := m.instances(p); len(all) != 1 || all[0].ID != i.ID {
		t.Errorf("Apply replaced what may be serving: %+v", all)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("no time"))
	defer cancel()
	if err := p.Remove(ctx, order1); !errors.Is(err, context.Cause(ctx)) {
		t.Errorf("Remove of what does not answer: %v", err)
	}
	if got := m.get(i, "/healthz"); got != "ok\n" {
		t.Errorf("the instance answers %q", got)
	}
	m.signal(pid, syscall.SIGCONT)
	if err := p.Remove(t.Context(), order1); err != nil {
		t.Fatal(err)
	}
}

// A server may be killed between any two steps; each case is the disk as it is then.
func TestKilledServer(t *testing.T) {
	id := makeID(order1, 1)
	tests := []struct {
		name string
		make func(m *machine, p *Platform, dir string)
		want int // instances known at first
	}{
		{"before the spec", func(m *machine, p *Platform, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
				m.Fatal(err)
			}
		}, 0},
		{"before the shim", func(m *machine, p *Platform, dir string) {
			w := m.workload(order1, 1)
			l, err := plan(w, dir)
			if err == nil {
				err = errors.Join(furnish(dir, l, w.Source), shimpb.WriteSpec(dir, p.spec(w, l, id, 1, dir, uint32(m.cfg.PortMin))))
			}
			if err != nil {
				m.Fatal(err)
			}
		}, 1},
		{"before Stop", func(m *machine, p *Platform, dir string) {
			m.apply(p, m.workload(order1, 1))
			spec, err := shimpb.ReadSpec(dir)
			if err != nil {
				m.Fatal(err)
			}
			spec = proto.CloneOf(spec)
			spec.Ended = true
			if err := shimpb.WriteSpec(dir, spec); err != nil {
				m.Fatal(err)
			}
		}, 1},
		{"before tidying", func(m *machine, p *Platform, dir string) {
			m.apply(p, m.workload(order1, 1))
			if err := p.instances[id].decide(func() *shimpb.Spec { s := proto.CloneOf(p.instances[id].getSpec()); s.Ended = true; return s }()); err != nil {
				m.Fatal(err)
			}
			if err := p.stop(m.Context(), p.instances[id]); err != nil {
				m.Fatal(err)
			}
			if err := os.Rename(dir, filepath.Join(m.dir, endedDir, string(id))); err != nil {
				m.Fatal(err)
			}
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			test.make(m, m.server(), filepath.Join(m.dir, instancesDir, string(id)))
			p := m.server()
			if all := m.instances(p); len(all) != test.want {
				t.Errorf("known at first: %+v, want %d", all, test.want)
			}
			m.apply(p, m.workload(order1, 2))
			m.healthy(p, 2)
			if err := p.Remove(t.Context(), order1); err != nil {
				t.Fatal(err)
			}
			m.nothingLeft()
		})
	}
}

func (m *machine) nothingLeft() {
	m.Helper()
	for _, d := range []string{instancesDir, runDir} {
		left, err := os.ReadDir(filepath.Join(m.dir, d))
		if err != nil || len(left) != 0 {
			m.Errorf("left in %s: %v, %v", d, left, err)
		}
	}
	err := filepath.WalkDir(filepath.Join(m.dir, endedDir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != shimpb.ShimLog && filepath.Base(filepath.Dir(path)) != shimpb.LogsDir {
			m.Errorf("an ended instance left %s", path)
		}
		return err
	})
	if err != nil {
		m.Error(err)
	}
}

// Two servers' shims for one instance: whoever comes late finds it kept.
func TestLateShim(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.workload(order1, 1))
	before := m.healthy(p, 1)[0]
	pid := m.get(before, "/pid")
	if err := p.launch(t.Context(), p.instances[before.ID]); err != nil {
		t.Errorf("a second shim: %v", err)
	}
	if got := m.get(m.healthy(p, 1)[0], "/pid"); got != pid {
		t.Errorf("the instance is process %s, was %s", got, pid)
	}
}

func TestStopAll(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.workload(order1, 2))
	order2 := abt2.VersionID{Module: "order", Number: 2}
	m.apply(p, m.workload(order2, 1))
	all := m.healthy(p, 3)
	m.signal(m.keeper(p, all[0].ID), syscall.SIGKILL) // a dead shim's instance, too
	ended, err := StopAll(t.Context(), m.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []abt2.InstanceID
	for _, i := range all {
		want = append(want, i.ID)
		if answers(i) {
			t.Errorf("%s lives on", i.ID)
		}
	}
	if !slices.Equal(ended, want) {
		t.Errorf("ended %v, want %v", ended, want)
	}
	m.nothingLeft()
	if ended, err := StopAll(t.Context(), filepath.Join(m.dir, "absent"), nil); len(ended) != 0 || err != nil {
		t.Errorf("of a folder that does not exist: %v, %v", ended, err)
	}
	p = m.server()
	m.apply(p, m.workload(order1, 1))
	if i := m.healthy(p, 1)[0]; slices.Contains(want, i.ID) {
		t.Errorf("%s is used again", i.ID)
	}
}

// address is the n-th that the platform may give out.
func (m *machine) address(n int) string {
	return net.JoinHostPort(DefaultHost, strconv.Itoa(m.cfg.PortMin+n))
}

func TestPortTaken(t *testing.T) {
	m := newMachine(t)
	l, err := net.Listen("tcp", m.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m.cfg.PortMax = m.cfg.PortMin + 2
	p := m.server()
	m.apply(p, m.workload(order1, 2))
	var got []string
	for _, i := range m.healthy(p, 2) {
		got = append(got, i.Address)
	}
	slices.Sort(got) // the rotation begins anywhere
	if want := []string{m.address(1), m.address(2)}; !slices.Equal(got, want) {
		t.Errorf("instances are at %v, want %v: all but what is taken", got, want)
	}
	if err := p.Apply(t.Context(), m.workload(order1, 3)); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "all are taken") {
		t.Errorf("with no port left: %v", err)
	}
	m.apply(p, m.workload(order1, 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m.apply(p, m.workload(order1, 2)) // the rotation has come around
	if i := m.healthy(p, 2)[1]; i.Address != l.Addr().String() {
		t.Errorf("%s is at %s, want %s", i.ID, i.Address, l.Addr())
	}
}

// Somebody else listens on the port when the instance is started again.
func TestForeignListenerIsNotHealth(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	w := m.workload(order1, 1)
	w.Version.Config.Health = abt2.HealthTCP
	m.apply(p, w)
	i := m.healthy(p, 1)[0]
	m.signal(m.keeper(p, i.ID), syscall.SIGKILL)
	m.poll("the port's release", func() bool { return !answers(i) })
	l, err := net.Listen("tcp", i.Address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler()}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() { _ = s.Close(); <-served }()
	w.Version.Config.Command = []string{"sleep"} // a module that would listen later
	w.Version.Config.Args = []string{"1000"}
	m.apply(p, w)
	m.until(p, "a refusal", func(all []abt2.Instance) bool {
		if all[0].State == abt2.InstanceHealthy {
			t.Fatal("a foreign listener counts as health")
		}
		return strings.Contains(all[0].Detail, "does not belong to this instance")
	})
}

// poll waits for what gives no signal.
// unreachable waits, without watching, until the one instance cannot be asked.
func (m *machine) unreachable(p *Platform) (dead abt2.Instance) {
	m.Helper()
	m.poll("the shim's end", func() bool {
		dead = m.instances(p)[0] // which reaps
		return dead.State == abt2.InstanceUnreachable
	})
	return dead
}

func (m *machine) poll(what string, ok func() bool) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		if pause(ctx, lockPoll) != nil {
			m.Fatalf("%s: not seen", what)
		}
	}
}
