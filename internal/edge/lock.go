package edge

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// makeFolder makes the edge's folder, which is nobody else's.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "edge folder %s: cannot be made", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "edge folder %s: cannot be closed to others", dir)
	}
	return nil
}

// lock makes this process the only edge on the folder until it closes the file,
// or hands it over.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, edgectl.LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge folder %s: cannot be written", dir)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, abt2.Errorf(abt2.CodeRefused, "edge folder %s: another edge runs on it", dir)
	case err != nil:
		f.Close()
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge folder %s: cannot be locked", dir)
	}
	return f, nil
}
