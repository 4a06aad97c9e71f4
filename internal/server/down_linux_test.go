package server_test

import (
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/server"
)

// An edge that hangs is named, and keeps nothing else from being ended.
func TestDownWithAHungEdge(t *testing.T) {
	in := install(t)
	in.release()
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pgrep", "-f", "edge --dir="+in.dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(out), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()

	ended, err := server.Down(t.Context(), in.dir, false, slog.New(slog.DiscardHandler))
	if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), fmt.Sprintf("the edge, process %d, does not answer; let it go on (kill -CONT %d)", pid, pid)) {
		t.Errorf("got %v", err)
	}
	if len(ended) != 4 {
		t.Errorf("ended %v; want 4 instances", ended)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if ended, err := server.Down(t.Context(), in.dir, false, slog.New(slog.DiscardHandler)); err != nil || len(ended) != 1 || ended[0] != "edge edge-1" {
		t.Errorf("once it goes on: ended %v, %v", ended, err)
	}
}

// A server that hangs is named, and nothing is ended behind its back: once it
// goes on it would start everything anew.
func TestDownWithAHungServer(t *testing.T) {
	in := prepare(t)
	p := in.startProcess()
	in.release()
	hung := p.Process.Pid
	if err := syscall.Kill(hung, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(hung, syscall.SIGCONT) }()

	ended, err := server.Down(t.Context(), in.dir, false, slog.New(slog.DiscardHandler))
	if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), fmt.Sprintf("the server, process %d, does not answer; let it go on (kill -CONT %d) or end it (kill -KILL %d), then repeat", hung, hung, hung)) {
		t.Errorf("got %v", err)
	}
	if len(ended) != 0 {
		t.Errorf("ended %v; want nothing", ended)
	}
	if would, err := server.Down(t.Context(), in.dir, true, slog.New(slog.DiscardHandler)); err != nil || len(would) != 6 || would[0] != "server, which does not answer" || would[1] != "edge edge-1" {
		t.Errorf("a dry run says %q, %v", would, err)
	}
	if err := syscall.Kill(hung, syscall.SIGKILL); err != nil { // as it advises
		t.Fatal(err)
	}
	<-p.exited
	if ended, err := server.Down(t.Context(), in.dir, false, slog.New(slog.DiscardHandler)); err != nil || len(ended) != 5 {
		t.Errorf("once it is gone: ended %v, %v; want the edge and 4 instances", ended, err)
	}
}

// small mounts a small disk as a data folder, where one may.
func small(t *testing.T, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("abt2", dir, "tmpfs", flags, "size=200k,mode=700"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk that is full or read-only: the message names the folder and what to
// do, and nothing is left.
func TestRestoreToABadDisk(t *testing.T) {
	in := install(t)
	in.release()
	b := in.backup()
	for name, flags := range map[string]uintptr{"full": 0, "read-only": syscall.MS_RDONLY} {
		t.Run(name, func(t *testing.T) {
			dir := small(t, flags)
			before := listing(t, dir)
			_, err := restoreTo(t.Context(), dir, b, false)
			if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data") {
				t.Errorf("got %v (%s)", err, abt2.CodeOf(err))
			}
			if after := listing(t, dir); after != before {
				t.Errorf("left is\n%s", after)
			}
		})
	}
}
