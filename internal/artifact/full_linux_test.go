package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"abt2.dev"
)

func program(size int) (string, abt2.Artifact) {
	content := "#!/bin/sh\n" + strings.Repeat("#", size)
	sum := sha256.Sum256([]byte(content))
	return content, abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: "api", Format: abt2.FormatExecutable}
}

func wantFull(t *testing.T, err error, dir string) {
	t.Helper()
	if abt2.CodeOf(err) != abt2.CodeFailed || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk of "+dir+" is full; free some space") {
		t.Errorf("got %v", err)
	}
}

// TestDiskFull is the real thing, where one may mount a small disk.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("abt2", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	content, a := program(1 << 20)
	wantFull(t, s.Put(t.Context(), a, strings.NewReader(content)), dir)
	for _, place := range []string{"tmp", "blobs"} {
		if left, err := os.ReadDir(filepath.Join(dir, place)); err != nil || len(left) != 0 {
			t.Errorf("in %s are %v, %v", place, left, err)
		}
	}
	// What fits is still taken, and what is unpacked may not fit.
	content, a = program(10)
	if err := s.Put(t.Context(), a, strings.NewReader(content)); err != nil {
		t.Error(err)
	}
	entries := func(yield func(entry, error) bool) {
		yield(entry{name: "bin/api", body: strings.NewReader(strings.Repeat("x", 1<<20))}, nil)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	err = s.failure(unpackTo(folder, entries, limits{bytes: 1 << 30, files: 10}, "shop"), "artifact shop: cannot be unpacked")
	wantFull(t, err, dir)
	if !strings.Contains(err.Error(), "bin/api") {
		t.Errorf("%v does not name the entry", err)
	}
}

// TestDiskFullForAnyone: every write to /dev/full meets a full disk.
func TestDiskFullForAnyone(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, a := program(10)
	wantFull(t, s.receive(context.Background(), a, f, strings.NewReader(content)), s.Dir)
}
