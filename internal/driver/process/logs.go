package process

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// logPoll is how often logs are read on; files give no signal.
const logPoll = 100 * time.Millisecond

// Logs implements abt2.LogReader. A version that never ran has no lines. The
// logs of the last 50 ended instances of a module are kept.
func (p *Platform) Logs(ctx context.Context, v abt2.VersionID, tail int, follow bool, w io.Writer) error {
	readers := map[abt2.InstanceID]*logReader{}
	defer func() {
		for _, r := range readers {
			r.close()
		}
	}()
	for first := true; ; first = false {
		ids, err := p.logged(v)
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "the logs of %s cannot be listed", v)
		}
		for _, id := range ids {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r := readers[id]
			if r == nil {
				r = &logReader{prefix: string(id) + "\t"}
				readers[id] = r
			}
			n := -1
			if first {
				n = tail
			}
			if err := r.copy(p.folders(id), n, follow, w); err != nil {
				return abt2.Wrap(abt2.CodeFailed, err, "the log of %s cannot be copied", id)
			}
		}
		if !follow {
			return nil
		}
		if err := pause(ctx, logPoll); err != nil {
			return err
		}
	}
}

// logged returns the instances of a version that have folders, the oldest first.
func (p *Platform) logged(v abt2.VersionID) ([]abt2.InstanceID, error) {
	found := map[uint64]abt2.InstanceID{}
	var seqs []uint64
	for _, d := range []string{instancesDir, endedDir} { // in this order: they move in it
		entries, err := os.ReadDir(filepath.Join(p.cfg.Dir, d))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			id := abt2.InstanceID(e.Name())
			if of, seq, ok := parseID(id); ok && of == v && found[seq] == "" {
				found[seq] = id
				seqs = append(seqs, seq)
			}
		}
	}
	slices.Sort(seqs)
	var out []abt2.InstanceID
	for _, s := range seqs {
		out = append(out, found[s])
	}
	return out, nil
}

// folders returns where an instance's logs are, or will be.
func (p *Platform) folders(id abt2.InstanceID) []string {
	return []string{filepath.Join(p.cfg.Dir, instancesDir, string(id)), filepath.Join(p.cfg.Dir, endedDir, string(id))}
}

// logReader reads one instance's log on, from file to file.
type logReader struct {
	prefix  string
	f       *os.File
	r       *bufio.Reader
	partial []byte // of a line whose end is not there yet
}

// copy writes the lines that have been added, or the last of them. A line
// without an end is held back when more may come.
func (l *logReader) copy(folders []string, tail int, more bool, w io.Writer) error {
	var last [][]byte
	emit := func(line []byte) error {
		if tail < 0 {
			_, err := w.Write(append([]byte(l.prefix), line...))
			return err
		}
		last = append(last, slices.Clone(line))
		if len(last) > tail {
			last = last[1:]
		}
		return nil
	}
	for {
		if l.f == nil {
			if err := l.open(folders); err != nil || l.f == nil {
				return err
			}
		}
		if err := l.drain(emit); err != nil {
			return err
		}
		next, err := l.next(folders)
		if err != nil {
			return err
		}
		if next == "" {
			break
		}
		// What was written between the last read and the rotation.
		if err := l.drain(emit); err != nil {
			return err
		}
		f, err := os.Open(next)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has moved on meanwhile
		}
		if err != nil {
			return err
		}
		l.close()
		l.f, l.r = f, bufio.NewReader(f)
	}
	if !more && len(l.partial) > 0 {
		if err := emit(append(l.partial, '\n')); err != nil {
			return err
		}
		l.partial = nil
	}
	for _, line := range last {
		if _, err := w.Write(append([]byte(l.prefix), line...)); err != nil {
			return err
		}
	}
	return nil
}

// drain emits the whole lines up to the end of the current file.
func (l *logReader) drain(emit func([]byte) error) error {
	for {
		b, err := l.r.ReadBytes('\n')
		l.partial = append(l.partial, b...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := emit(l.partial); err != nil {
			return err
		}
		l.partial = l.partial[:0]
	}
}

// open opens the oldest file, where there is one.
func (l *logReader) open(folders []string) error {
	for _, dir := range folders {
		files, err := shimpb.LogFiles(dir)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			continue
		}
		f, err := os.Open(files[0])
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved meanwhile; the next round finds it
		}
		if err != nil {
			return err
		}
		l.f, l.r = f, bufio.NewReader(f)
		return nil
	}
	return nil
}

// next returns the file after the current one, and "" when that is the youngest.
func (l *logReader) next(folders []string) (string, error) {
	current, err := l.f.Stat()
	if err != nil {
		return "", err
	}
	var oldest string
	for range 3 { // files may be rotated between the listing and the look
		oldest = ""
		for _, dir := range folders {
			files, err := shimpb.LogFiles(dir)
			if err != nil {
				return "", err
			}
			for n, path := range files {
				st, err := os.Stat(path)
				if err != nil || !os.SameFile(st, current) {
					continue
				}
				if n == len(files)-1 {
					return "", nil
				}
				return files[n+1], nil
			}
			if len(files) > 0 {
				oldest = files[0]
			}
		}
	}
	return oldest, nil // ours was rotated out, and lines are lost; or all was removed
}

func (l *logReader) close() {
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}
