package server_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
)

// A process that hangs is waited for, by name, also by a server that has never
// heard it: what routes is remembered.
func TestAHungProcessIsWaitedForAcrossARestart(t *testing.T) {
	in := install(t)
	in.release()
	in.create()
	in.put("web", "order", 2, "", false)
	in.verb(abt2.VerbShip)

	hung := in.instance("order")
	pid := in.processOf(hung.ID)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	in.start()
	commit := abt2.VerbRequest{By: ann, Verb: abt2.VerbCommit, Product: abt2.DefaultProduct, AckTimeout: time.Second}
	_, err := in.api.Run(t.Context(), commit, func(abt2.Progress) {})
	if abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), string(hung.ID)) {
		t.Errorf("commit: %v; want unconfirmed, naming %s", err, hung.ID)
	}
	if s, err := in.api.Status(t.Context(), abt2.DefaultProduct); err != nil || s.Online.ID != 2 {
		t.Errorf("online is %+v, %v although the commit was refused; want environment 2", s.Online, err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	commit.AckTimeout = time.Minute
	if _, err := in.api.Run(t.Context(), commit, func(abt2.Progress) {}); err != nil {
		t.Errorf("commit, once the process goes on: %v", err)
	}
	in.verb(abt2.VerbClean)
}

func (in *installation) instance(module abt2.ModuleName) abt2.InstanceStatus {
	in.t.Helper()
	s, err := in.api.Status(in.t.Context(), abt2.DefaultProduct)
	if err != nil {
		in.t.Fatal(err)
	}
	for _, i := range s.Instances {
		if i.Module == module {
			return i
		}
	}
	in.t.Fatalf("no instance of %s runs", module)
	return abt2.InstanceStatus{}
}

// processOf finds an instance's program by what it was told.
func (in *installation) processOf(id abt2.InstanceID) int {
	t := in.t
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		// Other installations of the machine have instances of the same ids.
		if err == nil && strings.Contains(string(b), "ABT2_INSTANCE="+string(id)+"\x00") && strings.Contains(string(b), in.dir+"/") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no process of %s", id)
	return 0
}
