package shim

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"abt2.dev/internal/shim/shimpb"
)

func readLogs(t *testing.T, dir string) (files []string) {
	t.Helper()
	paths, err := shimpb.LogFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(b))
	}
	return files
}

func TestLogRotation(t *testing.T) {
	dir := t.TempDir()
	limits := &shimpb.LogLimits{Bytes: 100, Files: 3}
	l, err := openLog(dir, limits, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for n := range 100 {
		fmt.Fprintf(&all, "line %d\n", n)
	}
	for rest := all.String(); rest != ""; { // in pieces that know nothing of lines
		n := min(len(rest), 37)
		if _, err := l.Write([]byte(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
		if n == 37 && len(rest)%5 == 0 { // a shim that is started again goes on
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if l, err = openLog(dir, limits, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := readLogs(t, dir)
	if len(files) != 3 {
		t.Fatalf("%d files, want 3", len(files))
	}
	for _, f := range files {
		if len(f) > 100 {
			t.Errorf("a file of %d bytes, the limit is 100", len(f))
		}
	}
	if got := strings.Join(files, ""); !strings.HasSuffix(all.String(), got) || len(got) < 200 {
		t.Errorf("the files hold %q, not the last of what was written", got)
	}
}

func TestLogLongLineAndNotes(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir, &shimpb.LogLimits{Bytes: 30, Files: 4}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 45)
	if _, err := l.Write([]byte(long)); err != nil {
		t.Fatal(err)
	}
	l.note("ended %d", 1)
	l.note("ended 2")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(readLogs(t, dir), ""), long+"\nabt2: ended 1\nabt2: ended 2\n"; got != want {
		t.Errorf("the files hold %q, want %q", got, want)
	}
}

func TestLogOfOneFile(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir, &shimpb.LogLimits{Bytes: 10, Files: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l.note("1234") // 11 bytes
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := readLogs(t, dir)
	if len(files) != 1 || len(files[0]) > 10 || !strings.HasSuffix("abt2: 1234\n", files[0]) {
		t.Errorf("files %q", files)
	}
}
