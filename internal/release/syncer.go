package release

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"abt2.dev"
)

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
	if _, ok := s.target.Edge.(abt2.TokenReader); !ok {
		r.Whole = nil
	}
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
