package shim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"abt2.dev/internal/shim/shimpb"
)

// Here the system does not tether a child to its shim: the child of a killed
// shim lives on until the successor ends it, identified by session, boot and
// start time as on Linux. A signal is sent by number, right after looking.

// process is one process at one time: its number and when it began.
type process struct {
	pid   int
	start uint64 // microseconds since 1970
}

const stateZombie = 5 // SZOMB of sys/proc.h

func bootID() (string, error) { return unix.Sysctl("kern.bootsessionuuid") }

func startTime(pid int) (uint64, error) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, err
	}
	return began(p), nil
}

func began(p *unix.KinfoProc) uint64 {
	return uint64(p.Proc.P_starttime.Sec)*1e6 + uint64(p.Proc.P_starttime.Usec)
}

// remains lists the processes that live in a shim's session, the shim itself
// excepted. The shim may be dead, but must have run on this boot.
func remains(shim *shimpb.Process) ([]process, error) {
	sid := int(shim.GetPid())
	if start, err := startTime(sid); err == nil && start != shim.GetStart() {
		return nil, nil // the number became free when the session was empty
	}
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("kern.proc.all: %w", err)
	}
	var out []process
	for i := range all {
		p := &all[i]
		pid := int(p.Proc.P_pid)
		if pid == sid || p.Proc.P_stat == stateZombie || began(p) < shim.GetStart() {
			continue
		}
		if s, err := unix.Getsid(pid); err == nil && s == sid {
			out = append(out, process{pid, began(p)})
		}
	}
	return out, nil
}

// send signals this process, and nobody when it has ended.
func send(p process, sig syscall.Signal) error {
	if start, err := startTime(p.pid); err != nil || start != p.start {
		return nil
	}
	if err := unix.Kill(p.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}

func tether(*syscall.SysProcAttr) {}

// awaitExit returns when the process has ended. It is reaped then: its group's
// number may be given out again once the group is empty.
func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() } // how it ended is in ProcessState

func reap(*exec.Cmd) {}

// replaceOutput makes f the standard output and error of this process.
func replaceOutput(f *os.File) error {
	return errors.Join(unix.Dup2(int(f.Fd()), 1), unix.Dup2(int(f.Fd()), 2))
}
