package release

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"abt2.dev"
)

// syncer keeps one edge, or the config centre, at what was published last. It is
// the only caller of its Apply.
type syncer struct {
	name    string // for people
	apply   func(context.Context, abt2.EdgeRoutes) error
	tokens  bool // it is an edge that is given tokens whole, not only their digests
	log     *slog.Logger
	changed *signal
	wake    chan struct{} // one slot: there is something newer

	mu      sync.Mutex
	want    abt2.EdgeRoutes
	have    abt2.Mark
	failure error              // of the last Apply
	cancel  context.CancelFunc // of the Apply at work
}

func newEdgeSyncer(t EdgeTarget, e *Engine) *syncer {
	s := newSyncer("edge "+t.ID, t.Edge.Apply, e)
	_, s.tokens = t.Edge.(abt2.TokenReader)
	return s
}

func newSyncer(name string, apply func(context.Context, abt2.EdgeRoutes) error, e *Engine) *syncer {
	return &syncer{name: name, apply: apply, log: e.Log, changed: &e.changed, wake: make(chan struct{}, 1)}
}

// set replaces what the edge should serve; an Apply of something older is given up.
func (s *syncer) set(r abt2.EdgeRoutes) {
	if !s.tokens {
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

// again makes the edge be written anew although it confirmed before, or is being
// written now.
func (s *syncer) again() {
	s.mu.Lock()
	s.have = abt2.Mark{}
	if s.cancel != nil {
		s.cancel()
	}
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
		err := s.apply(attempt, want)
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
			s.log.Warn("what was published has not been taken", "by", s.name, "revision", want.Table.Mark.Revision, "error", err)
			retry = time.After(pause)
			pause = min(2*pause, longest)
		}
	}
}
