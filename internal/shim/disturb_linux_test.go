package shim

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
)

func (k *kept) disturb(f shimpb.Fault, d time.Duration) error {
	_, err := k.client.Disturb(k.Context(), connect.NewRequest(&shimpb.DisturbRequest{Fault: f, For: durationpb.New(d)}))
	return err
}

func (k *kept) stands(p process) bool {
	s, err := readStat(p.pid)
	return err == nil && s.start == p.start && s.state == 'T'
}

// What stands still does so with all that it has started, and goes on.
func TestPause(t *testing.T) {
	k := instance(t, `sleep 1000 & echo $! >> $ABT2_STATE/pids; echo $$ >> $ABT2_STATE/pids; wait`)
	k.run()
	family := k.pids("pids", 2)
	if err := k.disturb(shimpb.Fault_FAULT_PAUSE, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, p := range family {
		k.poll("standing still", func() bool { return k.stands(p) })
	}
	if err := k.disturb(shimpb.Fault_FAULT_SLOW, time.Second); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a second fault: %v", err)
	}
	// Ended politely although it stands still: nothing waits for the grace of 20 s.
	k.stop()
	if log := k.log(); strings.Contains(log, "killed") {
		t.Errorf("log: %s", log)
	}
	for _, p := range family {
		if lives(p) {
			t.Errorf("process %d lives on", p.pid)
		}
	}
}

func TestSlowStandsAndRuns(t *testing.T) {
	k := instance(t, `echo $$ > $ABT2_STATE/pid; while :; do echo x >> $ABT2_STATE/steps; done`)
	k.run()
	child := k.pids("pid", 1)[0]
	if err := k.disturb(shimpb.Fault_FAULT_SLOW, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	steps := func() int64 {
		st, err := os.Stat(k.spec.StateDir + "/steps")
		if err != nil {
			return 0
		}
		return st.Size()
	}
	for range 3 { // it stands, and gets on, in turn
		k.poll("standing still", func() bool { return k.stands(child) })
		before := steps()
		k.poll("getting on", func() bool { return steps() > before })
	}
	k.stop()
}

func TestStrikingNobody(t *testing.T) {
	k := instance(t, `exit 1`)
	k.spec.Timing.BackoffMin, k.spec.Timing.BackoffMax = durationpb.New(time.Hour), durationpb.New(time.Hour)
	k.run()
	k.until("backoff", func(s *shimpb.Status) bool { return s.GetState() == shimpb.State_STATE_BACKOFF })
	if err := k.disturb(shimpb.Fault_FAULT_KILL, 0); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("without a process: %v", err)
	}
	if err := k.disturb(99, 0); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("a fault of a newer abt2: %v", err)
	}
	k.stop()
}

// A child that dies while it stands still takes its fault along.
func TestFaultEndsWithTheChild(t *testing.T) {
	k := instance(t, `echo $$ >> $ABT2_STATE/pids; exec sleep 1000`)
	k.run()
	first := k.pids("pids", 1)[0]
	if err := k.disturb(shimpb.Fault_FAULT_PAUSE, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := send(first, 9); err != nil {
		t.Fatal(err)
	}
	k.until("a restart", func(s *shimpb.Status) bool { return s.GetRestarts() == 1 && healthy(s) && s.GetFault() == 0 })
	if second := k.pids("pids", 2)[1]; k.stands(second) {
		t.Error("the successor stands still")
	}
	k.stop()
}

// The shim is killed while its child stands still: nothing stays behind, standing.
func TestKilledShimLeavesNobodyStanding(t *testing.T) {
	k := instance(t, `sleep 1000 & echo $! >> $ABT2_STATE/pids; echo $$ >> $ABT2_STATE/pids; wait`)
	k.run()
	family := k.pids("pids", 2)
	if err := k.disturb(shimpb.Fault_FAULT_PAUSE, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, p := range family {
		k.poll("standing still", func() bool { return k.stands(p) })
	}
	k.kill()
	for _, p := range family { // without a successor
		k.poll("going on, or having ended", func() bool { return !k.stands(p) })
	}
	k.run()
	k.until("healthy", func(s *shimpb.Status) bool { return healthy(s) && s.GetFault() == 0 })
	for _, p := range k.pids("pids", 4)[2:] {
		if k.stands(p) {
			t.Errorf("process %d of the successor stands still", p.pid)
		}
	}
	k.stop()
}

// One that stands still fails its health check, and passes it again afterwards.
func TestPausedIsUnhealthy(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	k := instance(t, "")
	k.spec.Argv, k.spec.Job, k.spec.Health, k.spec.Port = []string{exe, "module", strconv.Itoa(port)}, false, "/healthz", uint32(port)
	k.spec.Timing.CheckEvery, k.spec.Timing.CheckTimeout = durationpb.New(20*time.Millisecond), durationpb.New(50*time.Millisecond)
	k.spec.ModuleEnv = map[string]string{"GORACE": "atexit_sleep_ms=0"}
	k.run()
	k.until("healthy", healthy)
	if err := k.disturb(shimpb.Fault_FAULT_PAUSE, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	k.until("unhealthy", func(s *shimpb.Status) bool {
		return s.GetState() == shimpb.State_STATE_UNHEALTHY && s.GetFault() == shimpb.Fault_FAULT_PAUSE
	})
	last := k.until("healthy again", func(s *shimpb.Status) bool { return healthy(s) && s.GetFault() == 0 })
	if last.GetRestarts() != 0 {
		t.Errorf("it was started again: %v", last)
	}
	k.stop()
}
