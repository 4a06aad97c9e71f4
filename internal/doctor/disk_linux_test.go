package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// small mounts a small disk as the subject's folder, where one may.
func small(t *testing.T) Subject {
	t.Helper()
	s := subject(t)
	if err := syscall.Mount("abt2", s.Folder, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(s.Folder, 0); err != nil {
			t.Error(err)
		}
	})
	return s
}

func wantFailure(t *testing.T, s Subject, check, detail, remedy string) {
	t.Helper()
	for _, f := range Examine(t.Context(), s) {
		if f.Check == check && f.Result == Fail && strings.Contains(f.Detail, detail) && strings.Contains(f.Remedy, remedy) {
			return
		}
	}
	t.Errorf("%+v: want %s to fail with %q", Examine(t.Context(), s), check, detail)
}

func TestFullDisk(t *testing.T) {
	s := small(t)
	if err := os.WriteFile(filepath.Join(s.Folder, "much"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not small")
	}
	wantFailure(t, s, "writable", "is full", "free some space")
	wantFailure(t, s, "disk", "0 MiB of", "free some space")
}

func TestReadOnlyDisk(t *testing.T) {
	s := small(t)
	if err := syscall.Mount("abt2", s.Folder, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "mode=700"); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, s, "writable", "read-only", "remount,rw")
}
