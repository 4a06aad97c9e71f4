package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// unconfirmedEdges names the edges that have not confirmed the mark yet.
func (e *Engine) unconfirmedEdges(m abt2.Mark) []string {
	var out []string
	for _, s := range e.syncers {
		if ok, why := s.confirmed(m); !ok {
			out = append(out, s.name+why)
		}
	}
	return out
}

// confirmedEdges counts the edges that have confirmed the mark.
func (e *Engine) confirmedEdges(m abt2.Mark) int {
	n := 0
	for _, s := range e.syncers {
		if ok, _ := s.confirmed(m); ok && s.name != centreName {
			n++
		}
	}
	return n
}

// laggards names the processes that have not applied the mark, out of those
// that match selects. One that is not connected counts: a broken stream does
// not tell that the process routes nothing any more.
func (e *Engine) laggards(m abt2.Mark, match func(abt2.RouterStatus) bool) []string {
	ended := e.endedProcesses()
	var out []string
	for _, r := range e.Routers.Statuses() {
		if r.Role == roleEdge || r.Applied.Covers(m) || !match(r) || !r.Connected && ended[r.ID] {
			continue
		}
		why := fmt.Sprintf("has revision %d", r.Applied.Revision)
		if !r.Connected {
			why = "not connected, " + why
		}
		out = append(out, fmt.Sprintf("router %s (%s)", r.ID, why))
	}
	return out
}

func anyRouter(abt2.RouterStatus) bool     { return true }
func isStamper(r abt2.RouterStatus) bool   { return r.Stamper }
func isConnected(r abt2.RouterStatus) bool { return r.Connected }

// endedProcesses are the instances whose process the platform knows to have
// ended, though it will start another: a stream that broke with it is no laggard.
func (e *Engine) endedProcesses() map[string]bool {
	out := map[string]bool{}
	for _, i := range e.running(true) {
		if i.State == abt2.InstanceBackoff || i.State == abt2.InstanceStarting {
			out[string(i.ID)] = true
		}
	}
	return out
}

// confirmedProcesses counts the connected processes that have applied the mark.
func (e *Engine) confirmedProcesses(m abt2.Mark) int {
	n := 0
	for _, r := range e.Routers.Statuses() {
		if r.Role != roleEdge && r.Connected && r.Applied.Covers(m) {
			n++
		}
	}
	return n
}

// confirmation is who has been waited for, and for how long.
type confirmation struct {
	edges, processes []string  // who has not confirmed
	edgesAt          time.Time // when the last edge had; zero: some have not
}

func (c confirmation) missing() []string { return append(slices.Clone(c.edges), c.processes...) }

// fewNames bounds a list of names in a sentence; answers hold them all.
const fewNames = 8

// few names those who are missing, or some of them where they are many.
func few(missing []string) string {
	if more := len(missing) - fewNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(missing[:fewNames], ", "), more)
	}
	return strings.Join(missing, ", ")
}

// confirm waits until every edge, and every process that match selects, has
// applied the mark, or until ctx ends. tell, which may be nil, names who is
// waited for whenever that changes.
func (e *Engine) confirm(ctx context.Context, m abt2.Mark, match func(abt2.RouterStatus) bool, tell func(missing []string)) confirmation {
	var c confirmation
	told := 0
	_ = e.await(ctx, func() bool {
		c.edges, c.processes = e.unconfirmedEdges(m), e.laggards(m, match)
		if len(c.edges) == 0 && c.edgesAt.IsZero() {
			c.edgesAt = time.Now()
		}
		missing := c.missing()
		if tell != nil && len(missing) > 0 && len(missing) != told {
			told = len(missing)
			tell(missing)
		}
		return len(missing) == 0
	})
	return c
}
