package haproxy

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"abt2.dev"
)

// lockFile is held by HAProxy's processes, which inherit it. The system frees
// it when the last of them has ended, however: unlike a pid or a socket it
// cannot be mistaken, and a master that is just starting itself anew holds it.
const lockFile = "lock"

// lock takes the folder for an HAProxy to be started. The caller closes the
// file when HAProxy has inherited it.
func (e *Edge) lock() (*os.File, error) {
	f, err := os.OpenFile(e.path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// locked reports whether a process of an HAProxy exists.
func (e *Edge) locked() (bool, error) {
	f, err := os.OpenFile(e.path(lockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: its lock cannot be looked at", e.cfg.Dir)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	}
	return false, abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: its lock cannot be looked at", e.cfg.Dir)
}

// askMaster asks the master, and again while it does not answer but exists: it
// starts itself anew at every reload.
func (e *Edge) askMaster(ctx context.Context, command string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	waited := poll(ctx, func() (bool, error) {
		if said, err = socket(e.path(masterSocket)).ask(ctx, command); abt2.CodeOf(err) != abt2.CodeUnavailable {
			return true, nil
		}
		exists, why := e.locked()
		return !exists, why
	})
	if err == nil {
		err = waited
	}
	return said, err
}
