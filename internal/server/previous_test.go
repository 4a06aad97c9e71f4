package server_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"abt2.dev/internal/api"
)

// previous is the release before this one, built from the repository's history.
type previous struct {
	revision string
	abt2     string // its program
	module   string // testdata/module with its SDK
	handsOn  bool   // its edge can hand its sockets over
}

// previousReleases are what to upgrade from: the newest release before HEAD, or
// the commits that testdata names while there is none.
func previousReleases(t testing.TB) []string {
	t.Helper()
	if tag, err := git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*", "HEAD^"); err == nil {
		return []string{tag}
	}
	return strings.Fields(read(t, "testdata/previous-releases"))
}

func git(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = "../.." // git archives the folder that it is called in
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// buildPrevious builds a release. Without a history the test is skipped.
func buildPrevious(t testing.TB, revision string) previous {
	t.Helper()
	if _, err := git("cat-file", "-e", revision+"^{commit}"); err != nil {
		t.Skipf("revision %s is not here: this is no clone of the repository, or a shallow one: %v", revision, err)
	}
	tree, bin := t.TempDir(), t.TempDir()
	archive := filepath.Join(bin, "tree.tar")
	if _, err := git("archive", "--output="+archive, revision); err != nil {
		t.Fatalf("revision %s: %v", revision, err)
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", tree).CombinedOutput(); err != nil {
		t.Fatalf("revision %s: %v\n%s", revision, err, out)
	}
	const module = "internal/server/testdata/module"
	if err := os.CopyFS(filepath.Join(tree, module, "upgraded"), os.DirFS("testdata/module")); err != nil {
		t.Fatal(err)
	}
	p := previous{revision: revision, abt2: filepath.Join(bin, "abt2"), module: filepath.Join(bin, "module")}
	for program, source := range map[string]string{p.abt2: "./cmd/abt2", p.module: "./" + module + "/upgraded"} {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, source)
		cmd.Dir = tree
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("revision %s: %v: %v\n%s", revision, cmd, err, out)
		}
	}
	_, err := os.Stat(filepath.Join(tree, "internal/edge/handover.go"))
	p.handsOn = err == nil
	return p
}

var readyLine = regexp.MustCompile(`^ready: api (\S+), edge (\S+), data `)

// startPrevious runs the previous release's server on the folder.
func (in *installation) startPrevious(p previous) (stop func()) {
	in.t.Helper()
	cmd := exec.Command(p.abt2, "server", "--data="+in.dir, "--listen=127.0.0.1:0", "--edge-listen=127.0.0.1:0", "--allow-root")
	out, err := cmd.StdoutPipe()
	if err != nil {
		in.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	in.stop = func() error { return errors.Join(cmd.Process.Kill(), cmd.Wait()) } // where the test does not come so far
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			in.api, in.edge = api.NewClient(m[1], in.token, nil), m[2]
			return func() {
				in.t.Helper()
				in.stop = func() error { return nil }
				if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
					in.t.Fatalf("the previous server ended with %v", err)
				}
			}
		}
	}
	in.t.Fatal("the previous server ended before it was ready")
	return nil
}
