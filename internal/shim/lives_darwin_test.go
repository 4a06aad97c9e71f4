package shim

import "golang.org/x/sys/unix"

// lives tells whether exactly this process runs.
func lives(p process) bool {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", p.pid)
	return err == nil && began(k) == p.start && k.Proc.P_stat != stateZombie
}
