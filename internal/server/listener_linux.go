package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// listener returns the process that listens on a Unix socket, whether or not
// it answers (unix(7), SO_PEERCRED).
func listener(socket string) (pid int, ok bool) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, false
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid, ok = int(cred.Pid), cred.Pid > 0
		}
	})
	return pid, ok
}
