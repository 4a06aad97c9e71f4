package release

import (
	"context"
	"crypto/rand"

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
	for i := range routes.Table.Products {
		if p := &routes.Table.Products[i]; e.heldAt[p.Name] != 0 {
			p.Online, p.Backup = e.heldAt[p.Name], p.Online
		}
	}
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
	e.listInstances(s, routes.Table)
	e.moved.fire()
	return mark, nil
}

// desired returns what was published last.
func (e *Engine) desired() abt2.EdgeRoutes {
	e.publishing.Lock()
	defer e.publishing.Unlock()
	return e.published
}
