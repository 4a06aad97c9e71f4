package process

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

const (
	// lockPoll is how often is looked for what nothing signals: that a process
	// which is not our child has let go of its lock, or ours can be reaped.
	lockPoll = 5 * time.Millisecond
	// silence is how long a shim that lives may leave us without an answer
	// before a call gives up on it.
	silence = 5 * patience
)

// shimProcess is a shim that this server has started.
type shimProcess struct {
	pid    int
	output *os.File // ends when the shim is ready, or has ended
}

// start starts a shim as a process that outlives this one.
func (p *Platform) start(i *instance) (*shimProcess, error) {
	p.mu.Lock()
	command := p.ledger.Shim
	p.mu.Unlock()
	if len(command) == 0 {
		return nil, abt2.Errorf(abt2.CodeFailed, "%s: its shim has ended, and how to start another is not recorded in %s", i.id, ledgerFile)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "%s: its shim cannot be started", i.id)
	}
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "--dir="+i.dir)...)
	cmd.Dir = "/"
	cmd.Env = []string{} // not nil, which is everything
	for _, k := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(k); ok {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.mu.Lock()
	if err = cmd.Start(); err == nil {
		p.children[cmd.Process.Pid] = true
	}
	p.mu.Unlock()
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, abt2.Wrap(abt2.CodeFailed, err, "%s: its shim cannot be started with %q", i.id, command)
	}
	_ = cmd.Process.Release() // it is reaped by collect
	return &shimProcess{pid: cmd.Process.Pid, output: r}, nil
}

// said waits until the shim is ready or has ended, and returns what it printed.
func (s *shimProcess) said(ctx context.Context) (string, error) {
	defer s.output.Close()
	defer context.AfterFunc(ctx, func() { _ = s.output.SetReadDeadline(time.Now()) })()
	b, err := io.ReadAll(io.LimitReader(s.output, 64<<10))
	return strings.TrimSpace(string(b)), cause(ctx, err)
}

// collect reaps a shim of ours, and tells whether it has ended and how. One
// that was reaped before has ended.
func (p *Platform) collect(pid int) (ended bool, status syscall.WaitStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.children[pid] {
		return true, 0
	}
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	if got == pid || errors.Is(err, syscall.ECHILD) {
		delete(p.children, pid)
		return true, status
	}
	return false, 0
}

// reap collects every shim of ours that has ended.
func (p *Platform) reap() {
	p.mu.Lock()
	var pids []int
	for pid := range p.children {
		pids = append(pids, pid)
	}
	p.mu.Unlock()
	for _, pid := range pids {
		p.collect(pid)
	}
}

// launch starts an instance's shim and returns when it has started the child,
// or tried to.
func (p *Platform) launch(ctx context.Context, i *instance) error {
	s, err := p.start(i)
	if err != nil {
		return err
	}
	defer p.notify()
	said, err := s.said(ctx)
	if err != nil {
		return cause(ctx, abt2.Wrap(abt2.CodeFailed, err, "%s: its shim cannot be heard", i.id))
	}
	for began := time.Now(); ; {
		_, err := i.describe(ctx)
		if err == nil {
			return nil
		}
		ended, _ := p.collect(s.pid)
		// A shim that an earlier server has started may have come first.
		if _, alive, lockErr := shimpb.Keeper(i.dir); ended && !alive {
			return abt2.Wrap(abt2.CodeFailed, errors.Join(err, lockErr), "%s: its shim ended at once, saying %q", i.id, said)
		}
		if time.Since(began) > silence {
			return abt2.Wrap(abt2.CodeFailed, err, "%s: its shim, process %d, was started but does not answer", i.id, s.pid)
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
}

// stop returns when nothing of the instance lives any more. Its spec says that
// it is to end.
func (p *Platform) stop(ctx context.Context, i *instance) error {
	defer p.reap()
	for lastWord := time.Now(); ; {
		pid, alive, err := shimpb.Keeper(i.dir)
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "%s: its lock cannot be read", i.id)
		}
		if !alive {
			err := p.bury(ctx, i)
			if _, alive, _ := shimpb.Keeper(i.dir); err != nil && alive && ctx.Err() == nil {
				continue // a shim that an earlier server has started came first
			}
			return err
		}
		if _, err = i.describe(ctx); err == nil {
			lastWord = time.Now()
			_, err = i.shim.Stop(ctx, connect.NewRequest(&shimpb.StopRequest{}))
		}
		if err == nil {
			return i.gone(ctx)
		}
		// It may have just come, and find out by itself that it is to end; or go.
		if time.Since(lastWord) > silence {
			return abt2.Wrap(abt2.CodeFailed, err, "%s: its shim, process %d, does not answer, and may still be serving; let the process go on (kill -CONT %d) or end it (kill -KILL %d), then repeat", i.id, pid, pid, pid)
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
}

// gone waits for the end of a shim whose instance has ended.
func (i *instance) gone(ctx context.Context) error {
	for {
		_, alive, err := shimpb.Keeper(i.dir)
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "%s: its lock cannot be read", i.id)
		}
		if !alive {
			return nil
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
}

// bury has a successor end what a killed shim left, and proves it.
func (p *Platform) bury(ctx context.Context, i *instance) error {
	s, err := p.start(i)
	if err != nil {
		return err
	}
	said, err := s.said(ctx)
	if err != nil {
		return cause(ctx, abt2.Wrap(abt2.CodeFailed, err, "%s: its shim cannot be heard", i.id))
	}
	for {
		ended, status := p.collect(s.pid)
		if ended && status.Exited() && status.ExitStatus() == 0 {
			return nil
		}
		if ended {
			return abt2.Errorf(abt2.CodeFailed, "%s: what its killed shim left cannot be ended: %s", i.id, said)
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
}

// pause waits for d, or returns the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
