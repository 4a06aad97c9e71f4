package haproxy

import (
	"context"
	"maps"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"abt2.dev"
)

// actual is what a running HAProxy has in memory.
type actual struct {
	info    info
	entries map[string]string
	servers []serverState
	note    note
	noted   bool
}

// look asks all at once: a switch waits for the slowest, not for each.
func (e *Edge) look(ctx context.Context) (a actual, err error) {
	w := e.worker()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { a.info, err = w.info(ctx); return err })
	g.Go(func() (err error) { a.entries, err = w.mapEntries(ctx); return err })
	g.Go(func() (err error) { a.servers, err = w.servers(ctx); return err })
	if err := g.Wait(); err != nil {
		return a, err
	}
	a.note, a.noted = noteOf(a.entries)
	return a, nil
}

// Apply implements abt2.Edge. Only what a running HAProxy cannot be told, above
// all a version that it has no backend for, makes it start another process in
// place of its own; a switch is one change of its map.
func (e *Edge) Apply(ctx context.Context, r abt2.EdgeRoutes) error {
	p, err := compile(r)
	if err != nil {
		return err
	}
	if err := take(ctx, e.applying); err != nil {
		return err
	}
	defer func() { <-e.applying }()
	g, asking := errgroup.WithContext(ctx)
	g.Go(func() error { return e.handOver(asking) }) // of what others may have started
	var have actual
	g.Go(func() (err error) { have, err = e.look(asking); return err })
	if err := g.Wait(); err != nil {
		return err
	}
	if is, next := have.note.Routes.Table.Mark, r.Table.Mark; is.Epoch == next.Epoch && next.Revision < is.Revision {
		return abt2.Errorf(abt2.CodeRefused, "routes of revision %d are older than %d, which are served", next.Revision, is.Revision)
	}
	conf, err := e.render(ctx, p)
	if err != nil {
		return err
	}
	if err := (note{Routes: r, Config: conf.sum}).put(p.entries); err != nil {
		return err
	}
	sum, _ := e.installed()
	again := have.info.description != conf.shape || sum != have.note.Config
	if !again {
		maps.Copy(p.entries, straggling(have, p))
	}
	dir, err := e.write(bundle{conf, p.entries})
	if err != nil {
		return err
	}
	if again {
		if err := e.check(ctx, dir); err != nil {
			_ = os.RemoveAll(dir) // else the next change sweeps it away
			return err
		}
	}
	keep, undo, err := e.install(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	if again {
		if err := e.reload(ctx, conf.shape); err != nil {
			undo()
			return err
		}
		if err := e.handOver(ctx); err != nil {
			return err
		}
	} else if err := e.change(ctx, p, have.servers); err != nil {
		return err // what is installed is newer than what is served; repeating heals it
	}
	return keep()
}

// straggling returns the routes that a request may be about to ask for, having
// learnt their environment a moment ago: those that were served until now.
func straggling(have actual, p *plan) map[string]string {
	out := map[string]string{}
	before, err := compile(have.note.Routes)
	if err != nil {
		return out
	}
	for k, v := range before.entries {
		if _, stays := p.entries[k]; !stays && strings.HasPrefix(k, keyRoute) {
			out[k] = v
		}
	}
	return out
}

// change tells the running process: new servers first, then the map, and last
// that servers are gone.
func (e *Edge) change(ctx context.Context, p *plan, have []serverState) error {
	w := e.worker()
	type key struct{ backend, server string }
	surplus := map[key]serverState{}
	for _, s := range have {
		surplus[key{s.backend, s.name}] = s
	}
	for _, b := range p.backends {
		for _, prefix := range []string{plainPrefix, grpcPrefix} {
			for _, s := range b.servers {
				k := key{prefix + b.name, s.name}
				is, there := surplus[k]
				delete(surplus, k)
				if err := w.ensure(ctx, prefix, b.name, s, is, there); err != nil {
					return err
				}
			}
		}
	}
	if err := w.replaceMap(ctx, p.entries); err != nil {
		return err
	}
	for k, s := range surplus {
		name := k.backend + "/" + k.server
		if s.up {
			if err := w.order(ctx, "set server "+name+" state maint"); err != nil {
				return err
			}
		}
		// One that still has connections is refused, gets no others, and goes later.
		if _, err := w(ctx, "del server "+name); err != nil {
			return err
		}
	}
	return nil
}

// ensure makes a server be there and get requests.
func (a asker) ensure(ctx context.Context, prefix, backend string, s server, is serverState, there bool) error {
	name := prefix + backend + "/" + s.name
	if there && is.up && is.address == s.address.String() {
		return nil
	}
	if !there {
		command := "add server " + name + " " + s.address.String()
		if prefix == grpcPrefix {
			command += " proto h2"
		}
		if err := a.order(ctx, command, "New server registered"); err != nil {
			return err
		}
	} else if is.address != s.address.String() {
		command := "set server " + name + " addr " + s.address.Addr().String() + " port " + strconv.Itoa(int(s.address.Port()))
		if err := a.order(ctx, command, "IP changed", "port changed", "no need to change"); err != nil {
			return err
		}
	}
	return a.order(ctx, "set server "+name+" state ready")
}
