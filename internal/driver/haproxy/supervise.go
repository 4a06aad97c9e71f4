package haproxy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"abt2.dev"
)

// watchTick is how often an HAProxy that another server process has started is
// looked at; nothing tells when it ends.
const watchTick = 250 * time.Millisecond

// maxErr bounds what is kept of HAProxy's words.
const maxErr = 1 << 20

var errStopped = errors.New("HAProxy has been stopped")

// running is an HAProxy that answers.
type running struct {
	processes
	ended <-chan struct{} // closed when it has ended; nil: another process started it
}

// Run keeps HAProxy running until ctx ends, when it returns ctx's cause, or
// until Stop, when it returns nil. HAProxy goes on without it. Run is called once.
func (e *Edge) Run(ctx context.Context) error {
	var starts restarts
	for {
		r, err := e.ensure(ctx, true)
		began, pause := time.Now(), time.Duration(0)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errStopped):
			return nil
		case err != nil:
			pause = starts.next(0)
			e.cfg.Log.Error("HAProxy does not start", "error", err, "again_in", pause)
		default:
			e.cfg.Log.Info("HAProxy runs", "pid", r.master)
			if err := e.wait(ctx, r); err != nil {
				return err
			}
			pause = starts.next(time.Since(began))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-e.stopped:
			timer.Stop()
			return nil
		case <-timer.C:
			if err == nil {
				e.cfg.Log.Warn("HAProxy has ended, starting it again", "said", e.lastWords())
			}
		}
	}
}

// Ready returns the address at which users are served by the HAProxy that runs,
// which it starts if none does. One that cannot be started is an error at once:
// whoever starts a server is there to read why.
func (e *Edge) Ready(ctx context.Context) (address string, err error) {
	if _, err := e.ensure(ctx, false); err != nil {
		return "", err
	}
	return e.Address(ctx)
}

// ensure finds HAProxy, or starts it, and returns when it serves users. again
// says that users have been served before: then what they were served with is
// better than nothing.
func (e *Edge) ensure(ctx context.Context, again bool) (r running, err error) {
	if err := take(ctx, e.starting); err != nil {
		return r, err
	}
	defer func() { <-e.starting }()
	select {
	case <-e.stopped:
		return r, errStopped
	default:
	}
	if err := e.makeDir(); err != nil {
		return r, err
	}
	if _, err := e.features(ctx); err != nil {
		return r, err
	}
	for exists := true; exists; {
		if exists, err = e.locked(); err != nil {
			return r, err
		}
		if exists { // or is just ending
			if err := e.serving(ctx, nil); abt2.CodeOf(err) != abt2.CodeUnavailable {
				if err == nil {
					r.processes, err = e.processes(ctx)
				}
				return r, err
			}
		}
	}
	if err := e.prepare(ctx); err != nil {
		if sum, _ := e.installed(); !again || sum == "" || ctx.Err() != nil {
			return r, err
		}
		e.cfg.Log.Error("today's settings cannot be used, HAProxy starts with those of before", "error", err)
	}
	ended, err := e.start()
	if err != nil {
		return r, err
	}
	if err := e.serving(ctx, ended); err != nil {
		return r, err
	}
	r.ended = ended
	r.processes, err = e.processes(ctx)
	return r, err
}

// prepare makes what HAProxy starts with from what it served last and today's
// settings.
func (e *Edge) prepare(ctx context.Context) error {
	sum, entries := e.installed()
	last, noted := noteOf(entries)
	p, err := compile(last.Routes)
	if err != nil {
		return err
	}
	conf, err := e.render(ctx, p)
	if err != nil {
		return err
	}
	if sum == conf.sum && noted && last.Config == sum && holds(entries, p.entries) {
		return nil
	}
	if noted {
		if err := (note{Routes: last.Routes, Config: conf.sum}).put(p.entries); err != nil {
			return err
		}
	}
	dir, err := e.write(bundle{conf, p.entries})
	if err != nil {
		return err
	}
	if err := e.check(ctx, dir); err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	keep, _, err := e.install(dir)
	if err != nil {
		return err
	}
	return keep()
}

// holds reports whether entries has all of some: power that was lost may have
// left a part of a map.
func holds(entries, some map[string]string) bool {
	for k, v := range some {
		if entries[k] != v {
			return false
		}
	}
	return true
}

// start runs HAProxy as a session of its own, so that nothing that ends this
// process ends it. The channel tells that it has ended, should it do so while
// this process lives.
func (e *Edge) start() (<-chan struct{}, error) {
	fail := func(err error) (<-chan struct{}, error) {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "HAProxy cannot be started with %s", e.cfg.Program)
	}
	lock, err := e.lock()
	if err != nil {
		return fail(err)
	}
	defer lock.Close()
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(e.path(errFile)); err == nil && info.Size() > maxErr {
		flags |= os.O_TRUNC
	}
	out, err := os.OpenFile(e.path(errFile), flags, 0o600)
	if err != nil {
		return fail(err)
	}
	defer out.Close()
	cmd := exec.Command(e.cfg.Program, "-W", "-S", "unix@"+masterSocket+",mode,600", "-f", liveLink+"/"+configFile)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = environment(), e.cfg.Dir, out, out
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // ends with HAProxy, or with this process
	return ended, nil
}

// serving returns when a worker that the master knows answers.
func (e *Edge) serving(ctx context.Context, ended <-chan struct{}) error {
	return poll(ctx, func() (bool, error) {
		select {
		case <-ended:
			return false, abt2.Errorf(abt2.CodeFailed, "HAProxy ended before it served anybody: %s", e.lastWords())
		default:
		}
		p, err := e.processes(ctx)
		if err != nil {
			return false, err
		}
		i, err := e.worker().info(ctx)
		if err != nil {
			return false, quiet(ctx, err)
		}
		return len(p.current) == 1 && p.current[0] == i.pid, nil
	})
}

// wait returns nil when HAProxy has ended.
func (e *Edge) wait(ctx context.Context, r running) error {
	if r.ended != nil {
		select {
		case <-r.ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if exists, err := e.locked(); err != nil || !exists {
				return err
			}
		}
	}
}

// lastWords returns why HAProxy complained last.
func (e *Edge) lastWords() string {
	b, err := os.ReadFile(e.path(errFile))
	if err != nil {
		return err.Error()
	}
	const tail = 4 << 10
	said := string(b[max(0, len(b)-tail):])
	last := ""
	for line := range strings.Lines(said) {
		if strings.Contains(line, "[ALERT]") || last == "" {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

// Stop ends HAProxy: it finishes its requests for DrainTimeout. Stop returns
// when it has ended, and keeps Run from starting another. Stopping where none
// runs succeeds.
func (e *Edge) Stop(ctx context.Context) error {
	if e.stopping.CompareAndSwap(false, true) {
		close(e.stopped)
	}
	if err := take(ctx, e.starting); err != nil {
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "HAProxy is just starting")
	}
	defer func() { <-e.starting }()
	if exists, err := e.locked(); err != nil || !exists {
		return err
	}
	p, err := e.processes(ctx)
	if err != nil {
		return err
	}
	// The pid is the master's own word of a moment ago.
	if err := signal(p.master, syscall.SIGUSR1); err != nil {
		return err
	}
	drained, cancel := context.WithTimeout(ctx, e.cfg.DrainTimeout)
	defer cancel()
	// Connections that are kept do not count; HAProxy would wait for them, too.
	_ = poll(drained, func() (bool, error) {
		if exists, err := e.locked(); err != nil || !exists {
			return true, err
		}
		n, err := e.carried(drained, "data.conn_cur gt 0")
		return err == nil && n == 0, quiet(drained, err)
	})
	if err := signal(p.master, syscall.SIGTERM); err != nil {
		return err
	}
	if err := e.gone(ctx); err != nil {
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "HAProxy has not ended yet")
	}
	return nil
}

// gone returns when no process of HAProxy exists.
func (e *Edge) gone(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		exists, err := e.locked()
		return !exists, err
	})
}

func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return abt2.Wrap(abt2.CodeFailed, err, "HAProxy cannot be ended")
	}
	return nil
}

// Runs reports whether an HAProxy of ours runs in the folder.
func (e *Edge) Runs() (bool, error) { return e.locked() }
