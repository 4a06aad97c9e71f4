package server

import (
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"abt2.dev"
)

// tellStarter tells whoever has started this process, if they have asked by
// sd_notify(3), what has become of it. One that cannot be told finds out by its
// own limits of time; that is no reason to serve nobody.
func tellStarter(state string) { _, _ = daemon.SdNotify(false, state) }

// passedSocket returns the number of the listening socket that this process was
// passed by whoever has started it (sd_listen_fds(3)); zero: none. It is asked
// once: children of this process are not to take it for theirs.
func passedSocket() (int, error) {
	files := activation.Files(true)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	switch len(files) {
	case 0:
		return 0, nil
	case 1:
		const afterStandard = 3
		fd, err := unix.FcntlInt(files[0].Fd(), unix.F_DUPFD_CLOEXEC, afterStandard)
		if err != nil {
			return 0, abt2.Wrap(abt2.CodeInvalid, err, "the listening socket that was passed: is not open")
		}
		return fd, nil
	}
	return 0, abt2.Errorf(abt2.CodeInvalid, "%d listening sockets were passed: an edge listens on one; leave one ListenStream= in its socket unit", len(files))
}
