package release

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"abt2.dev"
)

// publish derives what routers should know now and sends it to all of them, if
// it differs from what was sent last. It returns the mark that confirms it.
func (e *Engine) publish(ctx context.Context) (abt2.Mark, error) {
	e.publishing.Lock()
	defer e.publishing.Unlock()
	return e.publishLocked(ctx)
}

// publishAnew publishes under a new mark even where nothing differs, so that
// whoever confirms it proves to be there now.
func (e *Engine) publishAnew(ctx context.Context) (abt2.Mark, error) {
	e.publishing.Lock()
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

// unconfirmedProcesses names the connected processes that have not applied the mark yet.
func (e *Engine) unconfirmedProcesses(m abt2.Mark) []string {
	var out []string
	for _, r := range e.Routers.Statuses() {
		if r.Role != "edge" && r.Connected && !r.Applied.Covers(m) {
			out = append(out, "router "+r.ID)
		}
	}
	return out
}

// confirmedProcesses counts the connected processes that have applied the mark.
func (e *Engine) confirmedProcesses(m abt2.Mark) int {
	n := 0
	for _, r := range e.Routers.Statuses() {
		if r.Role != "edge" && r.Connected && r.Applied.Covers(m) {
			n++
		}
	}
	return n
}

// confirm waits until every edge and every connected process has applied the
// mark, and returns who has not when ctx ends.
func (e *Engine) confirm(ctx context.Context, m abt2.Mark, edges *time.Time) (missing []string) {
	_ = e.await(ctx, func() bool {
		missing = e.unconfirmedEdges(m)
		if len(missing) == 0 && edges != nil && edges.IsZero() {
			*edges = time.Now()
		}
		missing = append(missing, e.unconfirmedProcesses(m)...)
		return len(missing) == 0
	})
	return missing
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
