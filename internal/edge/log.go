package edge

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"abt2.dev"
)

// logFile is where an edge writes what it has to say; the file before it has
// .1 behind its name.
const logFile = "edge.log"

// maxLog is the size at which a log file is replaced; one older is kept.
const maxLog = 16 << 20

// rotatingLog is a log of bounded size. Write may be called from any goroutine.
type rotatingLog struct {
	name string

	mu   sync.Mutex
	file *os.File
	size int64
}

func openLog(dir string) (*rotatingLog, error) {
	l := &rotatingLog{name: filepath.Join(dir, logFile)}
	if err := l.open(); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge log %s: cannot be opened", l.name)
	}
	return l, nil
}

func (l *rotatingLog) open() error {
	f, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

func (l *rotatingLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, fs.ErrClosed
	}
	if l.size+int64(len(b)) > maxLog && l.size > 0 {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	return n, err
}

// rotate goes on with an empty file. If that cannot be had, it goes on with the old one.
func (l *rotatingLog) rotate() error {
	if err := os.Rename(l.name, l.name+".1"); err != nil {
		return err
	}
	old := l.file
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

func (l *rotatingLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.file
	if f == nil {
		return nil
	}
	l.file = nil
	return f.Close()
}
