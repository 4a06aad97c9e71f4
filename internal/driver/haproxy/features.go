package haproxy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"abt2.dev"
)

// features is what the installed HAProxy can do, as it says itself.
type features struct {
	version                        string
	dropTrailers, retryMisdirected bool
}

// The oldest version that is driven.
const oldestMajor, oldestMinor = 2, 6

var versionLine = regexp.MustCompile(`(?m)^HA-?Proxy version ((\d+)\.(\d+)\S*)`)

// parseVersion reads what haproxy -v prints, and refuses versions that nobody
// has tried.
func parseVersion(said string) (string, error) {
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return "", abt2.Errorf(abt2.CodeRefused, "haproxy -v says %q: this is no HAProxy", firstLine(said))
	}
	major, _ := strconv.Atoi(m[2]) // digits, as matched
	minor, _ := strconv.Atoi(m[3])
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return "", abt2.Errorf(abt2.CodeRefused, "HAProxy %s: is older than %d.%d, the oldest that is supported; install a newer one", m[1], oldestMajor, oldestMinor)
	}
	return m[1], nil
}

// features asks the program once.
func (e *Edge) features(ctx context.Context) (*features, error) {
	if f := e.about.Load(); f != nil {
		return f, nil
	}
	said, err := e.command(ctx, e.cfg.Dir, "-v")
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return nil, abt2.Wrap(abt2.CodeRefused, err, "haproxy program %q: is not there; install it (Debian: apt-get install haproxy) or name another", e.cfg.Program)
	}
	if err != nil {
		return nil, err
	}
	f := &features{}
	if f.version, err = parseVersion(said); err != nil {
		return nil, err
	}
	if f.dropTrailers, err = e.understands(ctx, "option http-drop-request-trailers"); err != nil {
		return nil, err
	}
	if f.retryMisdirected, err = e.understands(ctx, "retry-on 421"); err != nil {
		return nil, err
	}
	e.about.Store(f)
	return f, nil
}

// understands asks whether HAProxy takes a line of a defaults section.
func (e *Edge) understands(ctx context.Context, line string) (bool, error) {
	dir, err := os.MkdirTemp(e.cfg.Dir, "ask-")
	if err != nil {
		return false, abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be written to", e.cfg.Dir)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, configFile)
	if err := os.WriteFile(path, []byte("defaults\n    mode http\n    "+line+"\nbackend x\n"), 0o600); err != nil {
		return false, abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be written to", e.cfg.Dir)
	}
	_, err = e.command(ctx, dir, "-c", "-f", path)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return err == nil, nil
}

// command runs HAProxy and returns what it printed. A failure holds its last words.
func (e *Edge) command(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.cfg.Program, args...)
	cmd.Dir, cmd.Env = dir, environment()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", abt2.Wrap(abt2.CodeFailed, err, "haproxy %s: %s", strings.Join(args, " "), complaint(string(out)))
	}
	return string(out), nil
}

// environment is the whole environment of HAProxy.
func environment() []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// complaint is what matters of what HAProxy printed: its alerts, in its words.
func complaint(said string) string {
	var out []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if _, alert, ok := strings.Cut(line, "[ALERT]"); ok {
			_, text, _ := strings.Cut(alert, " : ")
			out = append(out, strings.TrimSpace(text))
		}
	}
	if len(out) == 0 {
		return firstLine(said)
	}
	return strings.Join(out, "; ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
