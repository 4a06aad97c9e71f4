package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"abt2.dev"
)

// heirEnv tells a server that it follows one that is about to kill itself: the
// process id of that one, and for how long nobody is to answer after its death.
const heirEnv = "ABT2_HEIR_OF"

// startHeir starts this very command once more, as a session of its own, so that
// what ends this process, or the terminal it was started from, does not end it.
func startHeir(program string, away time.Duration) (*os.Process, error) {
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %v", heirEnv, os.Getpid(), away))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Process, nil
}

// heritage is what a server that killed itself has left to this one.
type heritage struct {
	heir bool
	back time.Time // when somebody is to answer again
}

// inherit returns when the predecessor is dead, at once where there is none.
// The predecessor is this process's parent. A process lets go of its children
// after it has closed its files: from then on its locks and ports are free.
func inherit(ctx context.Context) (heritage, error) {
	left, ok := os.LookupEnv(heirEnv)
	if !ok {
		return heritage{}, nil
	}
	if err := os.Unsetenv(heirEnv); err != nil { // not for those that this process starts
		return heritage{}, err
	}
	var parent int
	var away string
	_, err := fmt.Sscanf(left, "%d %s", &parent, &away)
	if err != nil {
		return heritage{}, abt2.Wrap(abt2.CodeInvalid, err, "%s %q: is set by servers for their heirs alone; unset it", heirEnv, left)
	}
	length, err := time.ParseDuration(away)
	if err != nil {
		return heritage{}, abt2.Wrap(abt2.CodeInvalid, err, "%s %q: is set by servers for their heirs alone; unset it", heirEnv, left)
	}
	const look = 5 * time.Millisecond // nothing signals a parent's death everywhere
	for tick := time.NewTicker(look); os.Getppid() == parent; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return heritage{}, context.Cause(ctx)
		}
	}
	return heritage{true, time.Now().Add(length)}, nil
}

// stayAway returns when somebody is to answer again.
func (h heritage) stayAway(ctx context.Context) error {
	t := time.NewTimer(time.Until(h.back)) // of the zero time: now
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
