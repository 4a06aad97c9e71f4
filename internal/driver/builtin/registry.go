package builtin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// Registry is the registry of one machine: names are loopback addresses that
// the edges listen on. They ride in the routes, so that Registry writes nothing
// itself; it watches what edges make of it. It implements abt2.Registry.
type Registry struct {
	link Link
	ids  []string
}

// NewRegistry returns the registry of the edges with these ids.
func NewRegistry(link Link, ids []string) *Registry {
	return &Registry{link: link, ids: slices.Clone(ids)}
}

// readAgain is the pause between two looks at an edge whose names have not
// followed yet: an address may be in use, and nobody tells when it is free.
const readAgain = 50 * time.Millisecond

// Apply returns when every edge serves routes that cover n.Mark and listens on
// exactly n.Names. It needs someone to apply those routes. When the context ends
// first, the error tells which edge lacks what.
func (r *Registry) Apply(ctx context.Context, n abt2.Names) error {
	for _, id := range r.ids {
		if err := r.follow(ctx, id, n); err != nil {
			return err
		}
	}
	return nil
}

// follow waits for one edge.
func (r *Registry) follow(ctx context.Context, id string, n abt2.Names) error {
	tick := time.NewTicker(readAgain)
	defer tick.Stop()
	state := "has not answered"
	for {
		got, err := r.link.Read(ctx, id)
		switch served := got.Table.Mark; {
		case err != nil && ctx.Err() == nil:
			return err
		case err != nil:
		case !served.Covers(n.Mark):
			state = fmt.Sprintf("serves revision %d, not yet %d", served.Revision, n.Mark.Revision)
		default:
			missing, beyond := compare(n.Names, got.Table.Names)
			if len(missing)+len(beyond) == 0 {
				return nil
			}
			if len(beyond) > 0 && served != n.Mark {
				return abt2.Errorf(abt2.CodeRefused, "unversioned names of revision %d: edge %s serves newer ones, of revision %d: %s", n.Mark.Revision, id, served.Revision, strings.Join(beyond, ", "))
			}
			state = "does not listen on " + strings.Join(missing, ", ") + "; free the address"
			if len(missing) == 0 {
				state = "still listens on " + strings.Join(beyond, ", ")
			}
		}
		select {
		case <-ctx.Done():
			return abt2.Wrap(abt2.CodeUnconfirmed, context.Cause(ctx), "unversioned names: edge %s %s", id, state)
		case <-tick.C:
		}
	}
}

// compare lists which names are missing and which are too many, for people.
func compare(want, have []abt2.Name) (missing, beyond []string) {
	list := func(of, without []abt2.Name) (out []string) {
		for _, n := range of {
			if !slices.Contains(without, n) {
				out = append(out, fmt.Sprintf("%s (%s)", n.Address, n.Module))
			}
		}
		return out
	}
	return list(want, have), list(have, want)
}

// Read returns the names that every edge listens on, with the mark of the edge
// that is furthest behind.
func (r *Registry) Read(ctx context.Context) (abt2.Names, error) {
	var out abt2.Names
	for i, id := range r.ids {
		got, err := r.link.Read(ctx, id)
		if err != nil {
			return abt2.Names{}, err
		}
		t := got.Table
		if i == 0 {
			out = abt2.Names{Mark: t.Mark, Names: slices.Clone(t.Names)}
			continue
		}
		if out.Mark.Covers(t.Mark) {
			out.Mark = t.Mark
		}
		out.Names = slices.DeleteFunc(out.Names, func(n abt2.Name) bool { return !slices.Contains(t.Names, n) })
	}
	return out, nil
}
