package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"abt2.dev"
)

// lastWord is how long a server that is to die waits at most for the answer
// that says so to be out. Over HTTP/1.1, as our own client speaks, it is told
// when; over HTTP/2 there is no telling.
const lastWord = time.Second

// faults makes the faults that are not the platform's. It implements release.Faults.
type faults struct {
	program string
	edges   map[string]any // by id: those that can be upgraded are upgraders
	log     *slog.Logger

	mu     sync.Mutex
	over   bool       // the server ends, as it was asked to
	doomed bool       // its death has been arranged
	deaths chan death // has room
}

// upgrader is the ability of what supervises an edge to have it hand its
// sockets over to a new process.
type upgrader interface {
	Upgrade(ctx context.Context) error
}

// death is the end of this server by its own hand.
type death struct {
	answered <-chan struct{} // closed when the request for it has been answered
	heir     *os.Process     // that follows; nil: somebody else sees to it
}

func newFaults(program string, edges map[string]any, log *slog.Logger) *faults {
	return &faults{program: program, edges: edges, log: log, deaths: make(chan death, 1)}
}

// KillServer implements release.Faults. A server that a supervisor will start
// again (systemd, or whoever has started it as the first process of a container)
// leaves that to it, and away with it.
func (f *faults) KillServer(ctx context.Context, away time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.doomed {
		return abt2.Errorf(abt2.CodeRefused, "the server is about to end already")
	}
	d := death{answered: answered(ctx)}
	if !supervised() {
		var err error
		if d.heir, err = startHeir(f.program, away); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "no server could be started that would follow, so this one stays")
		}
	}
	f.doomed = true
	f.deaths <- d
	return nil
}

// UpgradeEdge implements release.Faults.
func (f *faults) UpgradeEdge(ctx context.Context, edge string) error {
	u, ok := f.edges[edge].(upgrader)
	if !ok {
		return abt2.Errorf(abt2.CodeRefused, "edge %s cannot hand its sockets over to a new process in this release", edge)
	}
	return u.Upgrade(ctx)
}

// run kills the server when that has been asked for and answered. It returns
// when ctx ends; an heir that was waiting for this server's death is ended then.
func (f *faults) run(ctx context.Context) error {
	select {
	case d := <-f.deaths:
		bound := time.NewTimer(lastWord)
		defer bound.Stop()
		select {
		case <-d.answered:
			die()
		case <-bound.C:
			die()
		case <-ctx.Done():
			f.deaths <- d
		}
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	select {
	case d := <-f.deaths:
		if d.heir != nil {
			err := d.heir.Kill()
			_, waited := d.heir.Wait()
			f.log.Info("the server was to be killed, but ends as it was asked to; nobody follows it", "error", errors.Join(err, waited))
		}
	default:
	}
	return context.Cause(ctx)
}

// supervised tells whether somebody starts a server again that has died.
func supervised() bool {
	self := os.Getpid()
	return self == 1 || os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(self) // systemd.exec(5)
}

// die ends the process at once: nothing is closed, nothing is said.
func die() {
	if os.Getpid() == 1 {
		os.Exit(128 + int(syscall.SIGKILL)) // a first process cannot be killed from within: pid_namespaces(7)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		os.Exit(128 + int(syscall.SIGKILL))
	}
	select {} // it is on its way
}
