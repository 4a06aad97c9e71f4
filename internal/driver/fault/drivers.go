package fault

import (
	"context"
	"sync"

	"abt2.dev"
)

// Platform wraps a platform. Partially, Apply starts all instances but one, and
// Remove ends all but one; nothing goes wrong with the abilities that it has.
func (p *Plan) Platform(inner abt2.Platform) abt2.Platform {
	w := &platform{plan: p, inner: inner}
	logs, reads := inner.(abt2.LogReader)
	saboteur, strikes := inner.(abt2.Saboteur)
	switch {
	case reads && strikes:
		return struct {
			*platform
			abt2.LogReader
			abt2.Saboteur
		}{w, logs, saboteur}
	case reads:
		return struct {
			*platform
			abt2.LogReader
		}{w, logs}
	case strikes:
		return struct {
			*platform
			abt2.Saboteur
		}{w, saboteur}
	}
	return w
}

type platform struct {
	plan  *Plan
	inner abt2.Platform

	mu   sync.Mutex
	work map[abt2.VersionID]abt2.Workload // as last applied
	last memory[[]abt2.Instance]
}

func (f *platform) Apply(ctx context.Context, w abt2.Workload) error {
	f.mu.Lock()
	if f.work == nil {
		f.work = map[abt2.VersionID]abt2.Workload{}
	}
	f.work[w.Version.ID] = w
	f.mu.Unlock()
	return f.plan.call(ctx, "Platform.Apply", func() error { return f.inner.Apply(ctx, w) }, func() error {
		have, err := f.count(ctx, w.Version.ID)
		switch {
		case err != nil:
			return err
		case have < w.Scale-1:
			w.Scale--
		case have > w.Scale+1:
			w.Scale++
		default:
			return nil // none of it was done
		}
		return f.inner.Apply(ctx, w)
	}, nil)
}

func (f *platform) Remove(ctx context.Context, v abt2.VersionID) error {
	f.mu.Lock()
	w, known := f.work[v]
	f.mu.Unlock()
	return f.plan.call(ctx, "Platform.Remove", func() error { return f.inner.Remove(ctx, v) }, func() error {
		have, err := f.count(ctx, v)
		if err != nil || have < 2 || !known {
			return err
		}
		w.Scale = 1
		return f.inner.Apply(ctx, w)
	}, nil)
}

// count returns how many instances of the version there are.
func (f *platform) count(ctx context.Context, v abt2.VersionID) (n int, err error) {
	all, err := f.inner.Instances(ctx)
	for _, i := range all {
		if i.Version == v {
			n++
		}
	}
	return n, err
}

func (f *platform) Instances(ctx context.Context) (out []abt2.Instance, err error) {
	err = f.plan.call(ctx, "Platform.Instances", func() error {
		out, err = f.inner.Instances(ctx)
		f.last.keep(out, err)
		return err
	}, nil, func() error {
		out, err = f.last.recall(func() ([]abt2.Instance, error) { return f.inner.Instances(ctx) })
		return err
	})
	return out, err
}

// Watch goes wrong, if it does, before it has watched anything.
func (f *platform) Watch(ctx context.Context, changed chan<- struct{}) error {
	if err := f.plan.Call(ctx, "Platform.Watch", func() error { return nil }); err != nil {
		return err
	}
	return f.inner.Watch(ctx, changed)
}

// Edge wraps a gateway.
func (p *Plan) Edge(inner abt2.Edge) abt2.Edge { return &edge{plan: p, inner: inner} }

type edge struct {
	plan  *Plan
	inner abt2.Edge
	last  memory[abt2.EdgeRoutes]
}

func (f *edge) Apply(ctx context.Context, r abt2.EdgeRoutes) error {
	return f.plan.Call(ctx, "Edge.Apply", func() error { return f.inner.Apply(ctx, r) })
}

// Abilities implements abt2.Abler, for an edge that does.
func (f *edge) Abilities() []abt2.Ability {
	if able, ok := f.inner.(abt2.Abler); ok {
		return able.Abilities()
	}
	return nil
}

func (f *edge) Read(ctx context.Context) (out abt2.EdgeRoutes, err error) {
	err = f.plan.call(ctx, "Edge.Read", func() error {
		out, err = f.inner.Read(ctx)
		f.last.keep(out, err)
		return err
	}, nil, func() error {
		out, err = f.last.recall(func() (abt2.EdgeRoutes, error) { return f.inner.Read(ctx) })
		return err
	})
	return out, err
}

// Registry wraps a registry. Partially, Apply makes all names lead where they
// should but the last.
func (p *Plan) Registry(inner abt2.Registry) abt2.Registry {
	r := &registry{plan: p, inner: inner}
	if l, ok := inner.(abt2.Lister); ok {
		return &lister{r, l}
	}
	return r
}

type registry struct {
	plan  *Plan
	inner abt2.Registry
	last  memory[abt2.Names]
}

func (f *registry) Apply(ctx context.Context, n abt2.Names) error {
	return f.plan.call(ctx, "Registry.Apply", func() error { return f.inner.Apply(ctx, n) }, func() error {
		n.Names, n.Listings = n.Names[:max(0, len(n.Names)-1)], n.Listings[:max(0, len(n.Listings)-1)]
		return f.inner.Apply(ctx, n)
	}, nil)
}

func (f *registry) Read(ctx context.Context) (out abt2.Names, err error) {
	err = f.plan.call(ctx, "Registry.Read", func() error {
		out, err = f.inner.Read(ctx)
		f.last.keep(out, err)
		return err
	}, nil, func() error {
		out, err = f.last.recall(func() (abt2.Names, error) { return f.inner.Read(ctx) })
		return err
	})
	return out, err
}

// lister is a registry that lists instances. What Follow asks for never fails:
// the registry goes on by itself.
type lister struct {
	*registry
	lists abt2.Lister
}

func (f *lister) Follow(n abt2.Names) { f.lists.Follow(n) }

func (f *lister) Listed(ctx context.Context, n abt2.ServiceName) (out []abt2.Registration, err error) {
	err = f.plan.Call(ctx, "Registry.Listed", func() error {
		out, err = f.lists.Listed(ctx, n)
		return err
	})
	return out, err
}

// memory keeps the last answer of a reading call.
type memory[T any] struct {
	mu    sync.Mutex
	known bool
	value T
}

func (m *memory[T]) keep(v T, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.value, m.known = v, true
	}
}

// recall returns the last answer; before there was one, a fresh one.
func (m *memory[T]) recall(read func() (T, error)) (T, error) {
	m.mu.Lock()
	v, known := m.value, m.known
	m.mu.Unlock()
	if known {
		return v, nil
	}
	return read()
}
