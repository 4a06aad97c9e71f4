package builtin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// upgradeTimeout bounds an upgrade: longer than a successor that works ever
// takes before it gives up by itself, so that only one that hangs is ended.
const upgradeTimeout = 20 * time.Second

// Upgrade replaces the process that is the edge by one that is started now, and
// loses no request: the successor gets the sockets, and the predecessor finishes
// what it has. It returns when the successor serves and the predecessor takes no
// more connections. On error the predecessor is the edge still, or, if it has
// ended of itself, Run starts another. Where none runs, one is started. An edge
// that somebody else keeps running is CodeRefused.
func (s *Supervisor) Upgrade(ctx context.Context) error {
	if s.cfg.RestartedBy != "" {
		return abt2.Errorf(abt2.CodeRefused, "edge %s: is not replaced by the server, because somebody else keeps it running; for a new process of it: %s", s.cfg.ID, s.cfg.RestartedBy)
	}
	if len(s.cfg.Takeover) == 0 {
		return abt2.Errorf(abt2.CodeInvalid, "edge %s: cannot be upgraded: nothing says how a successor is started", s.cfg.ID)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upgradeTimeout, fmt.Errorf("it has not taken over within %s", upgradeTimeout))
	defer cancel()
	before, err := s.ensure(ctx)
	if err != nil {
		return err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	p, err := s.start(s.cfg.Takeover)
	if err != nil {
		return err
	}
	after, err := s.succession(ctx, before, p)
	if err != nil {
		_ = p.process.Kill() // it has ended, or hangs: until it serves it is no loss
		return abt2.Wrap(abt2.CodeFailed, err, "edge %s: is not upgraded; the process of %s goes on; abt2 down and abt2 server start it anew", s.cfg.ID, before.Started.Format(time.RFC3339))
	}
	s.cfg.Log.Info("edge upgraded", "id", s.cfg.ID, "version", after.Version, "before", before.Version)
	return nil
}

// succession waits until p is the edge in place of before.
func (s *Supervisor) succession(ctx context.Context, before edgectl.Description, p *started) (edgectl.Description, error) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		if d, err := s.client.Describe(ctx); err == nil && !d.Started.Equal(before.Started) {
			return d, s.check(d)
		}
		select {
		case <-ctx.Done():
			return before, context.Cause(ctx)
		case why := <-p.ended:
			return before, abt2.Wrap(abt2.CodeFailed, why, "its successor ended: %s", s.lastWords())
		case <-tick.C:
		}
	}
}

// Outdated reports whether an edge runs another program than Command, or with
// other settings than are wanted.
func (s *Supervisor) Outdated(d edgectl.Description) bool {
	if d.Program != edgectl.ProgramID(s.cfg.Command[0]) {
		return true
	}
	if s.cfg.Settings != "" && d.Settings != s.cfg.Settings {
		return true
	}
	if len(d.Args) == 0 || s.cfg.RestartedBy != "" {
		return false // not told, or somebody else's choice
	}
	args := d.Args[1:]
	return !slices.Equal(args, s.cfg.Command[1:]) && !slices.Equal(args, slices.Concat(s.cfg.Command[1:], s.cfg.Takeover))
}
