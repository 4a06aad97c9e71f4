package builtin_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
)

// supervise returns a Supervisor whose successors are started with takeover.
func supervise(t *testing.T, dir, server, settings string, takeover ...string) *builtin.Supervisor {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := builtin.NewSupervisor(builtin.SupervisorConfig{
		Dir: dir, ID: edgeID, Command: []string{exe, "edge", "--id=" + edgeID, "--dir=" + dir, "--server=" + server},
		Takeover: takeover, Settings: settings, Env: []string{"GORACE=atexit_sleep_ms=0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASuccessorThatDoesNotServe(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	s := supervise(t, dir, f.address, "")
	leave := run(t, s)
	before, err := s.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Upgrade(t.Context()); abt2.CodeOf(err) != abt2.CodeInvalid {
		t.Errorf("without a way to start a successor: error %v, want %s", err, abt2.CodeInvalid)
	}
	for how, words := range map[string]string{"--fail=crash": "cannot start", "--fail=hang": "long enough"} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, abt2.Errorf(abt2.CodeUnconfirmed, "long enough"))
		err := supervise(t, dir, f.address, "", how).Upgrade(ctx)
		cancel()
		if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: error %v, want %s with %q", how, err, abt2.CodeFailed, words)
		}
		if d, err := s.Describe(t.Context()); err != nil || !d.Started.Equal(before.Started) {
			t.Errorf("%s: %v runs, error %v; want that of %v", how, d.Started, err, before.Started)
		}
	}
	leave()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestAPredecessorThatIsKilled: whenever it dies, an edge is there afterwards, at
// the same address and with the same routes.
func TestAPredecessorThatIsKilled(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	s := supervise(t, dir, f.address, "", "--takeover")
	leave := run(t, s)
	before, err := s.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	routes := abt2.EdgeRoutes{Table: abt2.Table{Mark: abt2.Mark{Epoch: "e", Revision: 5}}}
	if err := f.Apply(t.Context(), edgeID, routes); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		d, err := s.Ready(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pid := pidOf(t, dir)
		upgraded := make(chan error, 1)
		go func() { upgraded <- s.Upgrade(t.Context()) }()
		until(t, func() bool { return pidOf(t, dir) != pid && pidOf(t, dir) != 0 }) // the successor is under way
		for range i * i {
			_, _ = s.Describe(t.Context()) // takes some time, each time another
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH { // it may have handed over and ended
			t.Fatal(err)
		}
		err = <-upgraded // either way
		until(t, func() bool {
			now, err := s.Describe(t.Context())
			return err == nil && !now.Started.Equal(d.Started) && now.Mark == routes.Table.Mark && now.Addresses[0] == before.Addresses[0]
		})
		t.Logf("upgrade %d: %v", i, err)
	}
	leave()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func pidOf(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(string(b)) // zero: it is just being written
	return pid
}

func TestOutdated(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	s := supervise(t, dir, f.address, "", "--takeover")
	leave := run(t, s)
	d, err := s.Ready(t.Context())
	if err != nil || d.Program == "" || d.Settings == "" {
		t.Fatalf("description %+v, error %v", d, err)
	}
	if err := s.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	upgraded, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Outdated(d) || s.Outdated(upgraded) || supervise(t, dir, f.address, d.Settings, "--takeover").Outdated(upgraded) {
		t.Error("an edge of this program and with these settings is outdated")
	}
	for what, other := range map[string]*builtin.Supervisor{
		"settings":  supervise(t, dir, f.address, "others", "--takeover"),
		"arguments": supervise(t, dir, "127.0.0.1:1", "", "--takeover"),
	} {
		if !other.Outdated(upgraded) {
			t.Errorf("an edge with other %s is not outdated", what)
		}
	}
	d.Program = "another"
	if !s.Outdated(d) {
		t.Error("an edge of another program is not outdated")
	}
	leave()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
