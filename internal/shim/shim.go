// Package shim keeps one instance: it starts the child, watches its health,
// starts it again when it ends, writes its output to bounded logs, and ends it.
// It is a process of its own that outlives the server which started it, and it
// answers abt2.shim.v1 on a unix socket.
//
// A shim leads a session. Whatever the child starts belongs to that session, so
// the session's number, the boot and the shim's start time say which processes
// are the instance's, even after shim and child were killed: the system gives
// out the number again only when the session is empty. A process that leaves by
// calling setsid itself is no longer seen as the instance's.
package shim

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// Run keeps the instance whose spec.json is in dir, and returns nil when the
// instance is proved ended: because Stop was called, ctx ended, or the spec
// says so. It fails at once when another shim keeps the instance.
//
// The calling process must be made for this alone, and lead a session or be
// able to. Before it starts anything Run ends what a killed predecessor left.
// When the shim answers and the child's first start has been tried, standard
// output and error are replaced by the folder's shim.log: for whoever holds the
// other end of a pipe there, its end means ready.
func Run(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: cannot be made absolute", dir)
	}
	// The lock comes before the spec is read: a shim that was started before the
	// instance was told to end, but comes late, finds it ended.
	lock, err := shimpb.Lock(dir)
	if err != nil {
		return abt2.Wrap(abt2.CodeRefused, err, "--dir %q: cannot be kept", dir)
	}
	defer lock.Close()
	spec, err := readSpec(dir)
	if err != nil {
		return err
	}
	if err := bury(ctx, dir); err != nil {
		return err
	}
	if spec.GetEnded() {
		return nil
	}
	self, err := lead()
	if err != nil {
		return err
	}
	self.Instance = spec.GetInstance()
	if err := shimpb.WriteIdentity(dir, self); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: cannot write %s", spec.GetInstance(), shimpb.IdentityFile)
	}
	return keep(ctx, dir, spec, self)
}

func readSpec(dir string) (*shimpb.Spec, error) {
	spec, err := shimpb.ReadSpec(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: is not the folder of an instance; shims are started by the server", dir)
	}
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: the spec cannot be read", dir)
	}
	if spec.GetProtocol() > shimpb.Protocol {
		return nil, abt2.Errorf(abt2.CodeInvalid, "--dir %q: the spec needs shim protocol %d, this abt2 speaks %d; start it with the server's own abt2", dir, spec.GetProtocol(), shimpb.Protocol)
	}
	return spec, nil
}

// lead makes the process the leader of a session and says who it is.
func lead() (*shimpb.Identity, error) {
	pid := os.Getpid()
	if sid, err := unix.Getsid(0); err != nil || sid != pid {
		if _, err := unix.Setsid(); err != nil {
			return nil, abt2.Wrap(abt2.CodeRefused, err, "a shim must lead a session of its own; start it with setsid")
		}
	}
	boot, err := bootID()
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the boot cannot be identified")
	}
	start, err := startTime(pid)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the shim's own start time cannot be read")
	}
	return &shimpb.Identity{Boot: boot, Shim: &shimpb.Process{Pid: int32(pid), Start: start}}, nil
}

// bury ends what a killed predecessor left of the instance.
func bury(ctx context.Context, dir string) error {
	last, err := shimpb.ReadIdentity(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "--dir %q: what the last shim left cannot be identified", dir)
	}
	boot, err := bootID()
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the boot cannot be identified")
	}
	if last.GetBoot() != boot {
		return nil
	}
	return sweep(ctx, last.GetShim())
}

// sweep kills what lives of a shim's session, the shim itself excepted, and
// returns when nothing of it does.
func sweep(ctx context.Context, shim *shimpb.Process) error {
	for {
		left, err := remains(shim)
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "the processes of session %d cannot be listed", shim.GetPid())
		}
		if len(left) == 0 {
			return nil
		}
		for _, p := range left {
			if err := send(p, syscall.SIGKILL); err != nil {
				return abt2.Wrap(abt2.CodeFailed, err, "process %d cannot be killed", p.pid)
			}
		}
		if err := pause(ctx, pollEvery); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "process %d was killed but has not ended", left[0].pid)
		}
	}
}

// pollEvery is how often is looked for what the system gives no signal of: the
// end of processes that are not the shim's own children.
const pollEvery = 5 * time.Millisecond

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

// keep runs the parts of a shim until the instance is proved ended.
func keep(ctx context.Context, dir string, spec *shimpb.Spec, self *shimpb.Identity) error {
	own, err := os.OpenFile(filepath.Join(dir, shimpb.ShimLog), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: cannot open %s", spec.GetInstance(), shimpb.ShimLog)
	}
	defer own.Close()
	log := slog.New(slog.NewTextHandler(own, nil))
	out, err := openLog(dir, spec.GetLogLimits(), log)
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: cannot open its log", spec.GetInstance())
	}
	defer out.Close()
	l, err := listen(spec.GetSocket())
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: cannot listen on %q", spec.GetInstance(), spec.GetSocket())
	}

	k := newKeeper(spec, self, out, rand.Float64)
	held, err := openNames(k, dir, log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	serving := serve(k, held, l, log)
	go func() {
		select {
		case <-ctx.Done():
			k.stop(spec.GetStopGrace().AsDuration())
		case <-k.ended:
		}
	}()
	log.Info("keeping", "instance", spec.GetInstance(), "pid", self.GetShim().GetPid())
	k.run(func() {
		if err := replaceOutput(own); err != nil {
			log.Error("standard output stays where it was", "err", err)
		}
	})
	held.close()
	serving.close()
	log.Info("ended", "instance", spec.GetInstance())
	return nil
}

// listen takes the instance's socket over from a predecessor; the lock makes
// sure that there is none alive.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
