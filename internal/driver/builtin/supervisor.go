package builtin

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// SupervisorConfig says which edge is kept running.
type SupervisorConfig struct {
	Dir     string   // the edge's folder, as in edge.Config; made if absent, mode 0700
	ID      string   // the edge's durable name: another one in Dir is refused
	Command []string // starts the edge, e.g. abt2 edge --dir=DIR …
	Env     []string // the whole environment of the process; nil: PATH, HOME, LANG and TZ of this one
	// Takeover is what Command has behind it to start an edge that takes over from
	// the one that runs. Empty: Upgrade is refused.
	Takeover []string
	// Settings is the digest of what the edge is to be told, as in
	// edgectl.Description. Empty: it does not matter.
	Settings string
	// RestartedBy is the command with which people restart an edge that somebody
	// else keeps running: it is waited for and looked at, and never started or
	// replaced. Empty: it is kept running here.
	RestartedBy string
	Log         *slog.Logger
}

// Supervisor keeps one edge process running, or looks at one that somebody else
// keeps running. The process outlives it: an edge that runs already is found by
// its control socket and left as it is. Methods may be called from several
// goroutines.
type Supervisor struct {
	cfg      SupervisorConfig
	client   *edgectl.Client
	starting chan struct{} // one slot, held while an edge is looked for or started
	stopped  chan struct{} // closed by Stop: no edge is started any more
	stop     sync.Once
}

// lookAgain is the pause between two looks at a process that is starting or
// ending; no signal crosses from one server process's child to another's.
const lookAgain = 10 * time.Millisecond

// errFile takes what the runtime prints when an edge crashes. It is begun anew
// when it has grown beyond maxErr.
const (
	errFile = "edge.err"
	maxErr  = 1 << 20
)

// NewSupervisor checks the configuration and starts nothing.
func NewSupervisor(cfg SupervisorConfig) (*Supervisor, error) {
	switch {
	case cfg.Dir == "":
		return nil, abt2.Errorf(abt2.CodeInvalid, "edge folder %q: must not be empty", "")
	case cfg.ID == "":
		return nil, abt2.Errorf(abt2.CodeInvalid, "edge id %q: must not be empty", "")
	case len(cfg.Command) == 0:
		return nil, abt2.Errorf(abt2.CodeInvalid, "edge command %q: must not be empty", cfg.Command)
	}
	if cfg.Env == nil {
		for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
			if v, ok := os.LookupEnv(name); ok {
				cfg.Env = append(cfg.Env, name+"="+v)
			}
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{cfg: cfg, client: edgectl.NewClient(cfg.Dir), starting: make(chan struct{}, 1), stopped: make(chan struct{})}, nil
}

// Run keeps the edge running until ctx ends, when it returns ctx's cause, or
// until Stop, when it returns nil. The edge goes on without it. An edge of
// another id on the same folder is CodeRefused. Run is called once.
func (s *Supervisor) Run(ctx context.Context) error {
	var starts restarts
	for {
		d, err := s.ensure(ctx)
		began, pause := time.Now(), time.Duration(0)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errStopped):
			return nil
		case abt2.CodeOf(err) == abt2.CodeRefused:
			return err
		case err != nil:
			pause = starts.next(0)
			s.cfg.Log.Error("edge does not start", "error", err, "again_in", pause)
		default:
			s.cfg.Log.Info("edge runs", "id", d.ID, "address", d.Addresses, "started", d.Started)
			if err := s.client.Wait(ctx); err != nil {
				return err
			}
			if _, err := s.client.Describe(ctx); err == nil {
				continue // it has handed over
			}
			pause = starts.next(time.Since(began))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-s.stopped:
			timer.Stop()
			return nil
		case <-timer.C:
			if err == nil && s.cfg.RestartedBy == "" {
				s.cfg.Log.Warn("edge has ended, starting it again")
			}
		}
	}
}

var errStopped = errors.New("the edge has been stopped")

// enter waits until nobody else looks for an edge or starts one.
func (s *Supervisor) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.starting <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	leave = func() { <-s.starting }
	select {
	case <-s.stopped:
		leave()
		return nil, errStopped
	default:
		return leave, nil
	}
}

// ensure finds the edge, or starts it, and returns when it answers.
func (s *Supervisor) ensure(ctx context.Context) (edgectl.Description, error) {
	if s.cfg.RestartedBy != "" {
		return s.arrival(ctx)
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return edgectl.Description{}, err
	}
	defer leave()
	d, err := s.client.Describe(ctx)
	if err == nil {
		return d, s.check(d)
	}
	if running, err := s.locked(); err != nil || running {
		return s.await(ctx, nil) // it is just starting, or ending
	}
	p, err := s.start(nil)
	if err != nil {
		return d, err
	}
	return s.await(ctx, p.ended)
}

// check refuses an edge that is not ours.
func (s *Supervisor) check(d edgectl.Description) error {
	if d.ID != s.cfg.ID {
		return abt2.Errorf(abt2.CodeRefused, "edge folder %s: edge %s runs there, not %s; stop it or choose another data folder", s.cfg.Dir, d.ID, s.cfg.ID)
	}
	return nil
}

// start runs the command as a session of its own, so that nothing that ends
// this process ends the edge. The channel tells how it ended, should it do so
// while this process lives.
func (s *Supervisor) start(more []string) (*started, error) {
	fail := func(err error) (*started, error) {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge %s: cannot be started with %s", s.cfg.ID, s.cfg.Command[0])
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fail(err)
	}
	name := filepath.Join(s.cfg.Dir, errFile)
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(name); err == nil && info.Size() > maxErr {
		flags |= os.O_TRUNC
	}
	out, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return fail(err)
	}
	defer out.Close()
	cmd := exec.Command(s.cfg.Command[0], slices.Concat(s.cfg.Command[1:], more)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.cfg.Env, s.cfg.Dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the edge, or with this process
	return &started{cmd.Process, ended}, nil
}

// started is a process that was started here.
type started struct {
	process *os.Process
	ended   <-chan error // gets how it ended, once
}

// await returns when an edge answers on the folder. A nil ended: somebody else
// started it.
func (s *Supervisor) await(ctx context.Context, ended <-chan error) (edgectl.Description, error) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		d, err := s.client.Describe(ctx)
		if err == nil {
			return d, s.check(d)
		}
		if ended == nil {
			if running, err := s.locked(); err == nil && !running {
				return d, abt2.Errorf(abt2.CodeUnavailable, "edge %s: ended before it answered", s.cfg.ID)
			}
		}
		select {
		case <-ctx.Done():
			return d, context.Cause(ctx)
		case why := <-ended:
			return d, abt2.Wrap(abt2.CodeFailed, why, "edge %s: ended before it answered: %s", s.cfg.ID, s.lastWords())
		case <-tick.C:
		}
	}
}

// lastWords returns the last line that an edge printed.
func (s *Supervisor) lastWords() string {
	b, err := os.ReadFile(filepath.Join(s.cfg.Dir, errFile))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// locked reports whether an edge process exists on the folder. Its lock is what
// cannot be mistaken: the system frees it when the process has ended, however.
func (s *Supervisor) locked() (bool, error) {
	f, err := os.OpenFile(filepath.Join(s.cfg.Dir, edgectl.LockFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Stop ends the edge: it finishes its requests for a bounded time. Stop returns
// when the process has ended, and keeps Run from starting another. Stopping
// where none runs succeeds.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.stop.Do(func() { close(s.stopped) })
	select {
	case s.starting <- struct{}{}:
		defer func() { <-s.starting }()
	case <-ctx.Done():
		return abt2.Wrap(abt2.CodeUnconfirmed, context.Cause(ctx), "edge %s is just starting", s.cfg.ID)
	}
	if err := s.client.Stop(ctx); err != nil && abt2.CodeOf(err) != abt2.CodeUnavailable {
		return err
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		running, err := s.locked()
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "edge folder %s: its lock cannot be looked at", s.cfg.Dir)
		}
		if !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return abt2.Wrap(abt2.CodeUnconfirmed, context.Cause(ctx), "edge %s has not ended yet", s.cfg.ID)
		case <-tick.C:
		}
	}
}

// Ready returns the description of the edge that runs, which it starts if none
// does, or waits for where that is somebody else's to do. An edge that cannot be started is an error at once: whoever starts a
// server is there to read why. Run tries again instead.
func (s *Supervisor) Ready(ctx context.Context) (edgectl.Description, error) {
	return s.ensure(ctx)
}

// Describe asks the edge who it is and what it serves; where none runs the
// error has CodeUnavailable.
func (s *Supervisor) Describe(ctx context.Context) (edgectl.Description, error) {
	return s.client.Describe(ctx)
}

// Metrics returns the edge's metrics in Prometheus' text format.
func (s *Supervisor) Metrics(ctx context.Context) ([]byte, error) { return s.client.Metrics(ctx) }
