package builtin

import (
	"context"
	"time"

	"abt2.dev/internal/edge/edgectl"
)

// lookForArrival is the pause between two looks for an edge that somebody else
// is to start, which may take as long as they please.
const lookForArrival = 100 * time.Millisecond

// arrival returns when an edge answers that somebody else has started.
func (s *Supervisor) arrival(ctx context.Context) (edgectl.Description, error) {
	tick := time.NewTicker(lookForArrival)
	defer tick.Stop()
	for said := false; ; {
		d, err := s.client.Describe(ctx)
		if err == nil {
			return d, s.check(d)
		}
		if !said {
			said = true
			s.cfg.Log.Warn("no edge answers on the folder; waiting for the one that somebody else keeps running", "dir", s.cfg.Dir, "restarted_by", s.cfg.RestartedBy)
		}
		select {
		case <-ctx.Done():
			return d, context.Cause(ctx)
		case <-s.stopped:
			return d, errStopped
		case <-tick.C:
		}
	}
}
