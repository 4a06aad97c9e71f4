package haproxy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"abt2.dev"
)

// bundle is what HAProxy starts with: its configuration and its map.
type bundle struct {
	*rendered
	entries map[string]string
}

// write puts a bundle into a new folder, from which install makes it live. It is
// not on the disk yet: a switch does not wait for that, see settle.
func (e *Edge) write(b bundle) (dir string, err error) {
	fail := func(err error) (string, error) {
		return "", abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be written to", e.cfg.Dir)
	}
	if dir, err = os.MkdirTemp(e.cfg.Dir, "conf-"); err != nil {
		return fail(err)
	}
	files := map[string][]byte{configFile: b.config, mapFile: []byte(strings.Join(lines(b.entries), "\n") + "\n")}
	if b.pem != nil {
		files[tlsFile] = b.pem
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			_ = os.RemoveAll(dir)
			return fail(err)
		}
	}
	return dir, nil
}

// check lets HAProxy judge what lies in dir. What it says is returned as
// CodeRefused.
func (e *Edge) check(ctx context.Context, dir string) error {
	// Names in the configuration are relative to where HAProxy runs.
	at, err := os.MkdirTemp(e.cfg.Dir, "check-")
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be written to", e.cfg.Dir)
	}
	defer os.RemoveAll(at)
	if err := os.Symlink(dir, filepath.Join(at, liveLink)); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be written to", e.cfg.Dir)
	}
	_, err = e.command(ctx, at, "-c", "-f", liveLink+"/"+configFile)
	if err != nil && ctx.Err() == nil {
		return abt2.Wrap(abt2.CodeRefused, err, "HAProxy refuses the configuration; the one before stays")
	}
	return err
}

// install makes dir live, and returns what does away with the one before, once
// this one has come to the disk, and what puts it back; one of them must be called.
func (e *Edge) install(dir string) (keep func() error, undo func(), err error) {
	link := e.path(liveLink)
	before, err := os.Readlink(link)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: %s cannot be read", e.cfg.Dir, liveLink)
	}
	point := func(target string) error {
		next := link + ".next"
		if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return errors.Join(os.Symlink(target, next), os.Rename(next, link))
	}
	if err := point(filepath.Base(dir)); err != nil {
		return nil, nil, abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be written to", e.cfg.Dir)
	}
	keep = func() error {
		if err := settle(dir); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: what is served now cannot be kept there", e.cfg.Dir)
		}
		e.sweep(filepath.Base(dir))
		return nil
	}
	undo = func() {
		if before != "" && point(before) == nil {
			_ = os.RemoveAll(dir)
		}
	}
	return keep, undo, nil
}

// settle returns when what is live has come to the disk, the link with it. Who
// loses power earlier finds an HAProxy that serves nothing until the next Apply,
// as instances do until they have been started.
func settle(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*")) // the pattern is well formed but for dir
	if err != nil {
		return err
	}
	for _, path := range append(files, dir, filepath.Dir(dir)) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what an earlier or interrupted change has left.
func (e *Edge) sweep(live string) {
	for _, pattern := range []string{"conf-*", "check-*", "ask-*"} {
		left, _ := filepath.Glob(e.path(pattern)) // the pattern is well formed
		for _, dir := range left {
			if filepath.Base(dir) != live {
				if err := os.RemoveAll(dir); err != nil {
					e.cfg.Log.Warn("an old HAProxy configuration cannot be removed", "folder", dir, "error", err)
				}
			}
		}
	}
}

// installed returns the live configuration's sum and map; zero values where
// there is none.
func (e *Edge) installed() (sum string, entries map[string]string) {
	if b, err := os.ReadFile(filepath.Join(e.path(liveLink), configFile)); err == nil {
		sum = sumOf(b)
	}
	entries = map[string]string{}
	b, err := os.ReadFile(filepath.Join(e.path(liveLink), mapFile))
	if err != nil {
		return sum, entries
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		entries[key] = value
	}
	return sum, entries
}
