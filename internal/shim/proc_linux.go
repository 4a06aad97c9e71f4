package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"abt2.dev/internal/shim/shimpb"
)

// process is one process at one time: its number and when it began.
type process struct {
	pid   int
	start uint64 // clock ticks since boot
}

// bootID names this boot and this space of process ids: a container that is
// started again has the same boot, but other processes.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)) + "/" + ns, nil
}

// stat is what proc(5) says of a process in /proc/PID/stat.
type stat struct {
	state   byte
	session int
	start   uint64
}

// readStat fails with fs.ErrNotExist when there is no such process.
func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, syscall.ESRCH) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return stat{}, err
	}
	// The second field, the name, may contain anything; the last ) ends it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat: has %d fields after the name", pid, len(fields))
	}
	session, err := strconv.Atoi(string(fields[3]))
	if err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: session: %w", pid, err)
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: start time: %w", pid, err)
	}
	return stat{state: fields[0][0], session: session, start: start}, nil
}

// ended says that the process runs no more and only waits to be reaped.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

func startTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// remains lists the processes that live in a shim's session, the shim itself
// excepted. The shim may be dead, but must have run on this boot.
func remains(shim *shimpb.Process) ([]process, error) {
	sid := int(shim.GetPid())
	if s, err := readStat(sid); err == nil && s.start != shim.GetStart() {
		// The number belongs to somebody else: it became free when the last
		// process of the session had ended.
		return nil, nil
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == sid {
			continue
		}
		s, err := readStat(pid)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.session == sid && s.start >= shim.GetStart() && !s.ended() {
			out = append(out, process{pid, s.start})
		}
	}
	return out, nil
}

// send signals exactly this process, and nobody when it has ended.
func send(p process, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil
	case errors.Is(err, unix.ENOSYS): // before Linux 5.3, or a sandbox: the number may change hands after the look
		fd = -1
	case err != nil:
		return os.NewSyscallError("pidfd_open", err)
	default:
		defer unix.Close(fd)
	}
	// The descriptor holds on to whoever has the number now.
	if s, err := readStat(p.pid); err != nil || s.start != p.start {
		return nil
	}
	if fd < 0 {
		err = unix.Kill(p.pid, sig)
	} else {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("signal", err)
	}
	return nil
}

// tether makes the system kill the child when the thread that starts it ends.
func tether(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// awaitExit returns when the process has ended, and leaves it unreaped.
func awaitExit(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// reap collects the process that awaitExit has seen end.
func reap(cmd *exec.Cmd) { _ = cmd.Wait() } // how it ended is in ProcessState

// replaceOutput makes f the standard output and error of this process.
func replaceOutput(f *os.File) error {
	return errors.Join(unix.Dup3(int(f.Fd()), 1, 0), unix.Dup3(int(f.Fd()), 2, 0))
}
