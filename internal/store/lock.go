package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"abt2.dev"
)

// Lock takes the data folder for this process, for whoever changes what is in
// it while no server runs. It returns CodeRefused while one does.
func Lock(dir string) (io.Closer, error) { return lockFolder(dir) }

// lockFolder takes the data folder for this process; closing the file, or the
// end of the process, gives it free. Children do not inherit it.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be written; choose another with --data", dir)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, abt2.Errorf(abt2.CodeRefused, "data folder %s: another abt2 server is using it; stop that one, or choose another folder with --data", dir)
	}
	return nil, abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be locked; choose one on a local disk with --data", dir)
}
