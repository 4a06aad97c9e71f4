package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"abt2.dev"
)

// publish derives what routers should know now and sends it to all of them, if
// it differs from what was sent last. It returns the mark that confirms it.
func (e *Engine) publish(ctx context.Context) (abt2.Mark, error) {
	if err := e.publishing.take(ctx); err != nil {
		return abt2.Mark{}, err
	}
	defer e.publishing.Unlock()
	return e.publishLocked(ctx)
}

// publishAnew publishes under a new mark even where nothing differs, so that
// whoever confirms it proves to be there now.
func (e *Engine) publishAnew(ctx context.Context) (abt2.Mark, error) {
	if err := e.publishing.take(ctx); err != nil {
		return abt2.Mark{}, err
	}
	defer e.publishing.Unlock()
	e.round = rand.Text()
	return e.publishLocked(ctx)
}

func (e *Engine) publishLocked(ctx context.Context) (abt2.Mark, error) {
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.Mark{}, err
	}
	routes := desiredRoutes(s, e.running(false), e.published.Table)
	mark, err := e.Store.Mark(ctx, digest(routes)+e.round)
	if err != nil {
		return abt2.Mark{}, err
	}
	if mark == e.published.Table.Mark {
		return mark, nil
	}
	routes.Table.Mark = mark
	e.published = routes
	e.Routers.Publish(routes.Table)
	for _, s := range e.syncers {
		s.set(routes)
	}
	return mark, nil
}

// desired returns what was published last.
func (e *Engine) desired() abt2.EdgeRoutes {
	e.publishing.Lock()
	defer e.publishing.Unlock()
	return e.published
}

// unconfirmedEdges names the edges that have not confirmed the mark yet.
func (e *Engine) unconfirmedEdges(m abt2.Mark) []string {
	var out []string
	for _, s := range e.syncers {
		if ok, why := s.confirmed(m); !ok {
			out = append(out, "edge "+s.target.ID+why)
		}
	}
	return out
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

// syncer keeps one edge at what was published last. It is the only caller of
// that edge's Apply.
type syncer struct {
	target  EdgeTarget
	log     *slog.Logger
	changed *signal
	wake    chan struct{} // one slot: there is something newer

	mu      sync.Mutex
	want    abt2.EdgeRoutes
	have    abt2.Mark
	failure error              // of the last Apply
	cancel  context.CancelFunc // of the Apply at work
}

// set replaces what the edge should serve; an Apply of something older is given up.
func (s *syncer) set(r abt2.EdgeRoutes) {
	s.mu.Lock()
	s.want = r
	if s.cancel != nil {
		s.cancel()
	}
	s.mu.Unlock()
	s.nudge()
}

// again makes the edge be written anew although it confirmed before.
func (s *syncer) again() {
	s.mu.Lock()
	s.have = abt2.Mark{}
	s.mu.Unlock()
	s.nudge()
}

func (s *syncer) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *syncer) confirmed(m abt2.Mark) (ok bool, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have.Covers(m) {
		return true, ""
	}
	if s.failure != nil {
		why = " (" + s.failure.Error() + ")"
	}
	return false, why
}

// run applies what is wanted until ctx ends, trying again after a failure with
// growing pauses.
func (s *syncer) run(ctx context.Context) {
	const shortest, longest = 50 * time.Millisecond, 2 * time.Second
	pause := shortest
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry:
		}
		retry = nil
		s.mu.Lock()
		want := s.want
		attempt, cancel := context.WithCancel(ctx)
		s.cancel = cancel
		due := want.Table.Mark != abt2.Mark{} && s.have != want.Table.Mark
		s.mu.Unlock()
		if !due {
			cancel()
			continue
		}
		err := s.target.Edge.Apply(attempt, want)
		superseded := attempt.Err() != nil
		cancel()
		s.mu.Lock()
		s.cancel, s.failure = nil, nil
		if err == nil {
			s.have = want.Table.Mark
		} else if !superseded {
			s.failure = err
		}
		s.mu.Unlock()
		s.changed.fire()
		switch {
		case err == nil:
			pause = shortest
		case !superseded:
			s.log.Warn("edge did not take the routes", "edge", s.target.ID, "revision", want.Table.Mark.Revision, "error", err)
			retry = time.After(pause)
			pause = min(2*pause, longest)
		}
	}
}
