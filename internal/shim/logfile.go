package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"abt2.dev/internal/shim/shimpb"
)

// The limits of an instance's log, where the spec has none.
const (
	defaultLogBytes = 10 << 20
	defaultLogFiles = 3
)

// logFile is an instance's output: one file that is rotated away when it is
// full, at the end of a line where that is possible.
type logFile struct {
	dir   string
	limit int64
	keep  int // rotated files
	log   *slog.Logger

	mu      sync.Mutex
	f       *os.File
	size    int64
	midLine bool
	failing bool
}

func openLog(dir string, limits *shimpb.LogLimits, log *slog.Logger) (*logFile, error) {
	l := &logFile{dir: dir, limit: limits.GetBytes(), keep: int(limits.GetFiles()) - 1, log: log}
	if l.limit <= 0 {
		l.limit = defaultLogBytes
	}
	if limits.GetFiles() == 0 {
		l.keep = defaultLogFiles - 1
	}
	if err := os.MkdirAll(filepath.Join(dir, shimpb.LogsDir), 0o700); err != nil {
		return nil, err
	}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(shimpb.LogPath(l.dir, 0), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, st.Size()
	return nil
}

// Write never fails: a full disk costs output, it does not block the instance.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(p)
	return len(p), nil
}

// note writes a line of the shim's own among the instance's.
func (l *logFile) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := "abt2: " + fmt.Sprintf(format, args...) + "\n"
	if l.midLine {
		line = "\n" + line
	}
	l.write([]byte(line))
}

func (l *logFile) write(p []byte) {
	for len(p) > 0 {
		n := len(p)
		if room := max(l.limit-l.size, 0); int64(n) > room {
			n = bytes.LastIndexByte(p[:room], '\n') + 1
			if n == 0 && l.size > 0 {
				l.rotate()
				continue
			}
			if n == 0 {
				n = int(room) // a line longer than a file
			}
		}
		written, err := l.f.Write(p[:n])
		if (err != nil) != l.failing {
			l.failing = err != nil
			l.log.Error("output is being lost", "lost", l.failing, "err", err)
		}
		l.size += int64(written)
		l.midLine = p[n-1] != '\n'
		p = p[n:]
	}
}

// rotate moves every file one further and begins an empty one. Where that
// fails the current file is emptied instead: the limit holds.
func (l *logFile) rotate() {
	var err error
	for n := l.keep; n > 0 && err == nil; n-- {
		err = os.Rename(shimpb.LogPath(l.dir, n-1), shimpb.LogPath(l.dir, n))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	old := l.f
	if err == nil && l.keep > 0 {
		err = l.open()
	}
	if err != nil || l.keep <= 0 {
		err = errors.Join(err, l.f.Truncate(0))
	} else {
		err = old.Close()
	}
	if err != nil {
		l.log.Error("cannot rotate the log", "err", err)
	}
	if l.f == old {
		l.size = 0
	}
}

// Close closes the current file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
