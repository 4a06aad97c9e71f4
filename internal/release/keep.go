package release

import (
	"context"
	"time"

	"abt2.dev"
)

func (e *Engine) pokeKeeper() {
	select {
	case e.poke <- struct{}{}:
	default:
	}
}

// keep brings about what verbs, or a crash in the middle of one, have left
// undone: it starts what should run, settles a switch, and takes down what has
// retired. It tries again after growing pauses until nothing is left.
func (e *Engine) keep(ctx context.Context) {
	const shortest, longest = 250 * time.Millisecond, 10 * time.Second
	pause := shortest
	quiet := &run{done: make(chan struct{})} // nobody follows
	begun := false
	for {
		left, err := e.keepOnce(ctx, quiet, !begun)
		begun = begun || err == nil
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("something is left to do and will be tried again", "error", err)
		}
		var retry <-chan time.Time
		if left || err != nil {
			retry = time.After(pause)
			pause = min(2*pause, longest)
		} else {
			pause = shortest
		}
		select {
		case <-ctx.Done():
			return
		case <-e.poke:
		case <-retry:
		}
		quiet.events = nil
	}
}

func (e *Engine) keepOnce(ctx context.Context, quiet *run, first bool) (left bool, err error) {
	if first {
		if err := e.bringBack(ctx, quiet); err != nil {
			return true, err
		}
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return true, err
	}
	busy := false
	retiring := false
	for name, p := range s.Products {
		if e.atWork(name) {
			busy = true // its own end will poke
			continue
		}
		if p.Intent != nil {
			if err := e.dropIntent(ctx, name); err != nil {
				return true, err
			}
		}
		if p.Unsettled {
			limit, cancel := context.WithTimeout(ctx, 30*time.Second)
			err := e.settle(limit, quiet, name)
			cancel()
			if err != nil {
				return true, err
			}
		}
		retiring = retiring || len(p.Retiring) > 0
	}
	if busy || !(retiring || first || e.unused(s)) {
		return false, nil
	}
	warnings, err := e.retire(ctx, quiet, 30*time.Second)
	for _, w := range warnings {
		e.Log.Warn("retiring takes long", "detail", w)
	}
	return len(warnings) > 0, err
}

// dropIntent takes away the intent of a verb that has ended without the store's
// answer: it would refuse every other verb.
func (e *Engine) dropIntent(ctx context.Context, name abt2.ProductName) error {
	_, err := e.Store.Update(ctx, func(s *abt2.State) error {
		if !e.atWork(name) { // asked after s was read: a verb that begins later runs into this transaction
			s.End(name)
		}
		return nil
	})
	return err
}

func (e *Engine) atWork(name abt2.ProductName) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[name] != nil
}

// unused reports whether a version of ours runs that should not.
func (e *Engine) unused(s *abt2.State) bool {
	want := e.wanted(s)
	for _, v := range e.runningVersions() {
		if s.Versions[v] != nil && want[v] == 0 {
			return true
		}
	}
	return false
}
