package edge

import "golang.org/x/sys/unix"

// bootID names the boot of the machine, so that a process recorded before a
// restart of the machine is not taken for one of today. Empty: not to be had.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
