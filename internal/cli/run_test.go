package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/cli"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/cli.md")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// world is one run of the program.
type world struct {
	args     string // words; a word with spaces in single quotes
	env      map[string]string
	svc      *fake
	terminal bool
	stdin    string
	// stdinNever makes reading stdin wait until the test ends.
	stdinNever bool
	ctx        context.Context
	stdout     io.Writer // beside what is remembered
	down       []string  // what RunDown ends
	program    string    // path of the program; default /usr/local/bin/abt2
	drill      *fakeDrill
	restored   cli.Restored
	findings   []cli.Finding
	err        error // of RunServer, RunEdge, RunShim, RunDown, RunRestore, RunDoctor
}

// result is what the program did.
type result struct {
	status         int
	stdout, stderr string
	url, token     string
	server         cli.ServerConfig
	edge           cli.EdgeOptions
	dirs           []string // of edge, shim and down
	drill          abt2.DrillRequest
}

func run(t *testing.T, w world) result {
	t.Helper()
	var res result
	var out, errs buffer
	if w.svc == nil {
		w.svc = &fake{}
	}
	if w.program == "" {
		w.program = "/usr/local/bin/abt2"
	}
	if w.ctx == nil {
		w.ctx = t.Context()
	}
	env := map[string]string{"HOME": "/home/nobody", "ABT2_OP": "wang"}
	for k, v := range w.env {
		env[k] = v
	}
	child := func(_ context.Context, dir string) error {
		res.dirs = append(res.dirs, dir)
		return w.err
	}
	var stdin io.Reader = strings.NewReader(w.stdin)
	if w.stdinNever {
		r, wr := io.Pipe()
		t.Cleanup(func() { wr.Close() })
		stdin = r
	}
	var stdout io.Writer = &out
	if w.stdout != nil {
		stdout = io.MultiWriter(&out, w.stdout)
	}
	res.status = cli.New(cli.Env{
		Args:       words(w.args),
		Stdin:      stdin,
		Stdout:     stdout,
		Stderr:     &errs,
		Getenv:     func(k string) string { return env[k] },
		IsTerminal: func(any) bool { return w.terminal },
		Now:        func() time.Time { return now },
		UserName:   func() (string, error) { return "sysuser", nil },
		Build:      cli.Build{Version: "v0.1.0", Revision: "0123456789ab", Go: "go1.26.8", Platform: "linux/amd64"},
		NewService: func(url string, token func() (string, error)) abt2.Service {
			res.url = url
			return tokenFirst{w.svc, token, &res.token}
		},
		Executable: func() (string, error) { return w.program, nil },
		NewDrill: func(_ abt2.Service, r abt2.DrillRequest) cli.Drill {
			res.drill = r
			return w.drill
		},
		RunServer: func(_ context.Context, c cli.ServerConfig) error {
			res.server = c
			if w.err == nil {
				c.Ready("http://127.0.0.1:7070", "http://127.0.0.1:8080", c.DNSListen)
			}
			return w.err
		},
		RunEdge: func(ctx context.Context, dir string, o cli.EdgeOptions) error { res.edge = o; return child(ctx, dir) },
		RunShim: child,
		RunDown: func(ctx context.Context, dir string, _ bool) ([]string, error) { return w.down, child(ctx, dir) },
		RunRestore: func(_ context.Context, c cli.RestoreConfig) (cli.Restored, error) {
			b, err := io.ReadAll(c.From)
			if err != nil {
				return cli.Restored{}, err
			}
			fmt.Fprintf(&w.svc.calls, "Restore %q %s to %s, force %v, by %s\n", b, c.Name, c.Data, c.Force, c.Operator)
			return w.restored, w.err
		},
		RunDoctor: func(_ context.Context, c cli.ServerConfig) ([]cli.Finding, error) {
			res.server = c
			return w.findings, w.err
		},
	}).Run(w.ctx)
	res.stdout, res.stderr = out.String(), errs.String()
	return res
}

// tokenFirst asks for the credential where the real client does, in Status.
type tokenFirst struct {
	*fake
	token func() (string, error)
	seen  *string
}

func (s tokenFirst) Status(ctx context.Context, product abt2.ProductName) (abt2.Status, error) {
	token, err := s.token()
	if err != nil {
		return abt2.Status{}, err
	}
	*s.seen = token
	return s.fake.Status(ctx, product)
}

// buffer is what a stream took; the program and a verb's progress may write at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// words splits at spaces that no single quotes enclose.
func words(s string) []string {
	var out []string
	var word strings.Builder
	quoted, open := false, false
	for _, c := range []byte(s + " ") {
		switch {
		case c == '\'':
			quoted, open = !quoted, true
		case c == ' ' && !quoted:
			if open {
				out = append(out, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteByte(c)
			open = true
		}
	}
	return out
}

// golden compares with the file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; go test -update rewrites it):\n%s", path, d)
	}
}

// transcript is a result as golden files hold it. Escapes are made visible.
func transcript(w world, res result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ abt2 %s\nstatus %d\n", w.args, res.status)
	for _, part := range []struct{ name, text string }{{"stdout", res.stdout}, {"stderr", res.stderr}, {"calls", w.svc.calls.String()}} {
		if part.text != "" {
			text := strings.NewReplacer("\x1b", "␛", "\r", "␍", "\t", "⇥").Replace(part.text)
			fmt.Fprintf(&b, "-- %s --\n%s", part.name, text)
			if !strings.HasSuffix(text, "\n") {
				fmt.Fprintln(&b, "⏎")
			}
		}
	}
	return b.String()
}
