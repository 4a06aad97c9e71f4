package haproxy

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"abt2.dev"
)

var carriedLine = regexp.MustCompile(`conn_cur=(\d+)`)

// carried counts the requests that are on their way, in every process: one that
// was replaced finishes what it has. filter selects of which environments.
func (e *Edge) carried(ctx context.Context, filter string) (int, error) {
	p, err := e.processes(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, pid := range slices.Concat(p.current, p.old) {
		said, err := e.process(pid)(ctx, "show table abt2-carried "+filter)
		if errors.Is(err, errSilent) && slices.Contains(p.old, pid) {
			continue // it ends because it has no request left
		}
		if err != nil {
			return 0, err
		}
		for _, m := range carriedLine.FindAllStringSubmatch(said, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return 0, abt2.Wrap(abt2.CodeFailed, err, "HAProxy counts %q requests", m[1])
			}
			total += n
		}
	}
	return total, nil
}

// drainTick is the pause between two counts; HAProxy sends no signal when a
// request ends.
const drainTick = 50 * time.Millisecond

// WaitDrained implements abt2.Drainer.
func (e *Edge) WaitDrained(ctx context.Context, env abt2.EnvironmentID) error {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	last := 0
	for {
		n, err := e.carried(ctx, "key "+env.String())
		switch {
		case err == nil && n == 0:
			return nil
		case err == nil:
			last = n
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return abt2.Wrap(abt2.CodeUnconfirmed, context.Cause(ctx), "environment %d is still carried by HAProxy (%d)", env, last)
		case <-tick.C:
		}
	}
}
