// Package stage sets up what a release needs on one machine: abt2 and the
// shop's builds, a server in a folder of its own, and the command line.
package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Stage is a folder with everything in it: bin/abt2, builds/, data/, server.log.
type Stage struct {
	Dir    string
	root   string // of the repository
	server *server
}

// New makes an empty stage and builds abt2 for it.
func New(ctx context.Context) (*Stage, error) {
	root, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}", "abt2.dev")
	if err != nil {
		return nil, err
	}
	// Not os.TempDir: sockets live below, and their paths must stay short.
	dir, err := os.MkdirTemp("/tmp", "abt2-demo-")
	if err != nil {
		return nil, err
	}
	s := &Stage{Dir: dir, root: strings.TrimSpace(root)}
	if _, err := output(ctx, s.root, "go", "build", "-o", s.Binary(), "./cmd/abt2"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// Binary is the abt2 that was built.
func (s *Stage) Binary() string { return filepath.Join(s.Dir, "bin", "abt2") }

// Data is the server's data folder.
func (s *Stage) Data() string { return filepath.Join(s.Dir, "data") }

// Env is what the command line needs to find the server and its credential.
func (s *Stage) Env() []string {
	return []string{"ABT2_SERVER=" + s.server.api, "ABT2_DATA=" + s.Data()}
}

// Abt2 runs the command line and shows its output. An exit status other than
// zero is an *exec.ExitError.
func (s *Stage) Abt2(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, s.Binary(), args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), s.Env()...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd.Run()
}

// Ask runs the command line and returns its output; what it says on standard
// error becomes part of the error.
func (s *Stage) Ask(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	if err := s.Abt2(ctx, &stdout, &stderr, args...); err != nil {
		return nil, fmt.Errorf("abt2 %s: %w\n%s%s", strings.Join(args, " "), err, &stderr, &stdout)
	}
	return stdout.Bytes(), nil
}

// Down ends the server with every instance and edge. Start may follow.
func (s *Stage) Down(ctx context.Context) error {
	if s.server == nil {
		return nil
	}
	// Whatever state the server is in, the folder tells what belongs to it.
	if _, err := s.Ask(ctx, "down", "--data="+s.Data(), "--yes"); err != nil {
		return err
	}
	err := s.server.wait(ctx)
	s.server = nil
	return err
}

// Strike is Down, and removes the folder. It stays if something could not be ended.
func (s *Stage) Strike(ctx context.Context) error {
	if err := s.Down(ctx); err != nil {
		return err
	}
	return os.RemoveAll(s.Dir)
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}
