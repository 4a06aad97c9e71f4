package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"abt2.dev/internal/shim/shimpb"
)

// starter starts children from one thread that lives as long as the starter:
// the system kills a tethered child when the thread that started it ends.
type starter struct {
	requests chan startRequest
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest)}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for r := range s.requests {
			r.result <- r.cmd.Start()
		}
	}()
	return s
}

// close ends the thread. No child may live any more.
func (s *starter) close() { close(s.requests) }

// child is one run of the instance's program, the leader of its process group.
type child struct {
	cmd    *exec.Cmd
	pid    int
	exited chan struct{} // closed when the leader has ended
	output *os.File
	copied chan struct{} // closed when output has been written to the log
}

// start runs the command in a process group of its own, tethered to the shim,
// with its output going to out.
func (s *starter) start(cmd *exec.Cmd, out io.Writer) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	tether(cmd.SysProcAttr)
	result := make(chan error, 1)
	s.requests <- startRequest{cmd, result}
	err = errors.Join(<-result, w.Close())
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	c := &child{cmd: cmd, pid: cmd.Process.Pid, exited: make(chan struct{}), output: r, copied: make(chan struct{})}
	go func() {
		defer close(c.exited)
		awaitExit(cmd)
	}()
	go func() {
		defer close(c.copied)
		_, _ = io.Copy(out, r) // ends with the last writer, or when finish closes r
	}()
	return c, nil
}

// terminate asks the instance to end and returns when nothing of it is left, at
// the latest after grace.
func (c *child) terminate(shim *shimpb.Process, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = syscall.Kill(-c.pid, syscall.SIGTERM) // failing means that the group is gone
	others, _ := remains(shim)                // one that cannot be told is killed later
	for _, p := range others {
		if group, err := unix.Getpgid(p.pid); err == nil && group != c.pid {
			_ = send(p, syscall.SIGTERM)
		}
	}
	select {
	case <-c.exited:
	case <-ctx.Done():
		return
	}
	// The leader may be a script whose server has been told to end as well.
	for {
		if left, err := remains(shim); err != nil || len(left) == 0 {
			return
		}
		if pause(ctx, pollEvery) != nil {
			return
		}
	}
}

// finish kills what is left of the instance and returns, once that is proved,
// how its leader ended. Trouble on the way is reported and tried again.
func (c *child) finish(shim *shimpb.Process, trouble func(error)) string {
	// Where the leader can end without being reaped, its group's number is still
	// its own here; the sweep then finds those who left the group.
	_ = syscall.Kill(-c.pid, syscall.SIGKILL) // failing means that the group is gone
	<-c.exited
	reap(c.cmd)
	for {
		err := sweepFor(shim, time.Second)
		if err == nil {
			break
		}
		trouble(err)
	}
	// Nobody of ours holds the pipe now. A process that left the session may; it
	// must not keep the shim from going on.
	select {
	case <-c.copied:
	case <-time.After(time.Second):
	}
	_ = c.output.Close()
	<-c.copied
	return ending(c.cmd.ProcessState)
}

func sweepFor(shim *shimpb.Process, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	err := sweep(ctx, shim)
	if err != nil && ctx.Err() == nil {
		<-ctx.Done() // not in a tight loop
	}
	return err
}

func ending(s *os.ProcessState) string {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return fmt.Sprintf("ended by signal %d (%v)", int(w.Signal()), w.Signal())
	}
	return fmt.Sprintf("exited with status %d", s.ExitCode())
}
