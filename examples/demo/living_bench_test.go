package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev/examples/demo/stage"
)

const (
	backupBuilds = 16
	backupBuild  = 64 << 20
)

// BenchmarkBackup saves 1 GiB of builds by the command line, beside a plain copy
// of the same files into one, in turn. Both end when the disk has the bytes.
func BenchmarkBackup(b *testing.B) {
	s := newStage(b)
	if _, _, err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	putBuilds(b, s)
	if err := s.Down(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, _, err := s.Start(b.Context()); err != nil { // anew: its memory is then the backup's
		b.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.Data(), "artifacts", "blobs", "*"))
	if err != nil || len(files) != backupBuilds {
		b.Fatalf("the data folder holds %d builds, want %d; %v", len(files), backupBuilds, err)
	}
	var saving, copying time.Duration
	var server, command int64
	for b.Loop() {
		// Both find their place empty. An older file's memory is given back before
		// the new one takes its own, which else the machine had to find.
		for _, old := range []string{"copy", "backup"} {
			if err := os.RemoveAll(filepath.Join(s.Dir, old)); err != nil {
				b.Fatal(err)
			}
		}
		begun := time.Now()
		if err := copyInto(filepath.Join(s.Dir, "copy"), files); err != nil {
			b.Fatal(err)
		}
		copying += time.Since(begun)

		before, _, err := s.Memory()
		if err != nil {
			b.Fatal(err)
		}
		begun = time.Now()
		used := execute(b, s, "backup", filepath.Join(s.Dir, "backup"))
		saving += time.Since(begun)
		after, err := s.PeakMemory()
		if err != nil {
			b.Fatal(err)
		}
		server, command = max(server, after-before), max(command, used)
	}
	b.ReportMetric(float64(b.N)*backupBuilds*backupBuild/saving.Seconds()/1e6, "MB/s")
	b.ReportMetric(float64(b.N)*backupBuilds*backupBuild/copying.Seconds()/1e6, "copy-MB/s")
	b.ReportMetric(copying.Seconds()/saving.Seconds(), "ratio")
	b.ReportMetric(float64(server)/1e6, "more-server-MB")
	b.ReportMetric(float64(command)/1e6, "command-MB")
}

// BenchmarkDoctor is a whole abt2 doctor on a data folder in use.
func BenchmarkDoctor(b *testing.B) {
	s := newStage(b)
	if _, _, err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	var slowest time.Duration
	for b.Loop() {
		begun := time.Now()
		execute(b, s, "doctor")
		slowest = max(slowest, time.Since(begun))
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
}

// execute runs the command line and returns the most bytes that it was resident with.
func execute(b *testing.B, s *stage.Stage, args ...string) int64 {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), s.Binary(), args...)
	cmd.Env = append(os.Environ(), s.Env()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("abt2 %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// putBuilds gives a session builds that cannot be compressed.
func putBuilds(b *testing.B, s *stage.Stage) {
	b.Helper()
	var list strings.Builder
	for i := range backupBuilds {
		name := fmt.Sprintf("module-%d", i)
		dir := filepath.Join(s.Dir, "large", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte("kind: service\ncommand: [./program]\n"), 0o644); err != nil {
			b.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(dir, "program"), os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.CopyN(f, rand.Reader, backupBuild)
		if err := errors.Join(err, f.Close()); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&list, "%s: %s\n", name, name)
	}
	release := filepath.Join(s.Dir, "large", "release.yaml")
	if err := os.WriteFile(release, []byte(list.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"start", "create", op}, {"config", "put", op, "--from=" + release, "--init"}} {
		execute(b, s, args...)
	}
}

func copyInto(path string, files []string) error {
	to, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, file := range files {
		from, e := os.Open(file)
		if e != nil {
			return errors.Join(e, to.Close())
		}
		// Without the kernel's shortcut, which shares blocks instead of writing them.
		_, e = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
		err = errors.Join(err, e, from.Close())
	}
	return errors.Join(err, to.Sync(), to.Close())
}
