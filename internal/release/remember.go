package release

import (
	"context"
	"slices"
	"time"

	"abt2.dev"
)

// The roles of routers that the engine treats each in its own way.
const (
	roleEdge    = "edge"    // confirms through its driver, and is known by configuration
	roleProcess = "process" // its id is its instance's
)

// restoreRouters makes the routers known again that an earlier server knew. One
// that does not join again is a laggard, never a smaller total.
func (e *Engine) restoreRouters(ctx context.Context) error {
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	e.Routers.Restore(s.Routers)
	return nil
}

// followRouters lets waiting verbs look again whenever a router reports, and
// keeps the record of the routers that are known, until ctx ends.
func (e *Engine) followRouters(ctx context.Context) {
	for {
		changed := e.Routers.Changed()
		e.changed.fire()
		var retry <-chan time.Time
		if err := e.rememberRouters(ctx); err != nil && ctx.Err() == nil {
			e.Log.Warn("the record of routers could not be stored; trying again soon", "error", err)
			retry = time.After(lookSoon)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		}
	}
}

// rememberRouters stores who routes, if that has changed since it was stored.
func (e *Engine) rememberRouters(ctx context.Context) error {
	var now []abt2.Router
	for _, r := range e.Routers.Statuses() {
		if r.Role != roleEdge {
			now = append(now, abt2.Router{ID: r.ID, Role: r.Role, Version: r.Version, Stamper: r.Stamper})
		}
	}
	if slices.Equal(now, e.remembered) {
		return nil
	}
	_, err := e.Store.Update(ctx, func(s *abt2.State) error { s.Routers = now; return nil })
	if err == nil {
		e.remembered = now
	}
	return err
}
