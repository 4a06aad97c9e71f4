package fake

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"abt2.dev"
)

// Registry lists instances in memory. It implements abt2.Lister.
type Registry struct {
	mu     sync.Mutex
	want   abt2.Names
	known  bool
	places map[place][]abt2.Registration
	dead   map[abt2.InstanceID]bool
	lost   bool
	seen   map[abt2.ServiceName][][]string // by those who watch
}

// place is where a listing stands; version 0 is the unversioned one.
type place struct {
	name    abt2.ServiceName
	version uint64
}

var _ abt2.Lister = (*Registry)(nil)

// NewRegistry returns a registry in which nothing stands.
func NewRegistry() *Registry {
	return &Registry{places: map[place][]abt2.Registration{}, dead: map[abt2.InstanceID]bool{}, seen: map[abt2.ServiceName][][]string{}}
}

func placeOf(l abt2.Listing) place {
	if l.Unversioned {
		return place{l.Name, 0}
	}
	return place{l.Name, l.Version.Number}
}

// Follow implements abt2.Lister.
func (r *Registry) Follow(n abt2.Names) { _ = r.bring(n) }

// Apply implements abt2.Registry.
func (r *Registry) Apply(ctx context.Context, n abt2.Names) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.bring(n); err != nil {
		return err
	}
	return r.reached()
}

// Lose makes the registry unreachable, or reachable again.
func (r *Registry) Lose(lost bool) {
	r.mu.Lock()
	r.lost = lost
	again := r.want
	r.mu.Unlock()
	if !lost {
		_ = r.bring(again) // the same is never refused
	}
}

func (r *Registry) reached() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost {
		return abt2.Errorf(abt2.CodeUnavailable, "the registry is lost")
	}
	return nil
}

func (r *Registry) bring(n abt2.Names) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.want.Mark; r.known && old.Epoch == n.Mark.Epoch && old.Revision > n.Mark.Revision {
		return abt2.Errorf(abt2.CodeRefused, "names of revision %d are older than %d", n.Mark.Revision, old.Revision)
	}
	r.want, r.known = n, true
	if r.lost {
		return nil
	}
	wanted := map[place]bool{}
	for _, l := range n.Listings {
		p := placeOf(l)
		wanted[p] = true
		for _, i := range l.Instances { // join
			if !slices.ContainsFunc(r.places[p], func(x abt2.Registration) bool { return x.Address == i.Address }) && !r.dead[i.ID] {
				r.set(p, append(slices.Clone(r.places[p]), abt2.Registration{Address: i.Address, Instance: i.ID}))
			}
		}
		if l.Unversioned && len(l.Instances) == 0 {
			continue
		}
		r.set(p, slices.DeleteFunc(slices.Clone(r.places[p]), func(x abt2.Registration) bool { // leave
			stays := slices.ContainsFunc(l.Instances, func(i abt2.TableInstance) bool { return i.Address == x.Address })
			return !stays && (x.Instance != "" || slices.Contains(l.Withdraw, x.Address))
		}))
	}
	for p, list := range r.places {
		if !wanted[p] {
			r.set(p, slices.DeleteFunc(slices.Clone(list), func(x abt2.Registration) bool { return x.Instance != "" }))
		}
	}
	return nil
}

// set is the only writer of places. The caller holds the lock.
func (r *Registry) set(p place, list []abt2.Registration) {
	slices.SortFunc(list, func(a, b abt2.Registration) int { return cmp.Compare(a.Address, b.Address) })
	if slices.Equal(list, r.places[p]) {
		return
	}
	r.places[p] = list
	if p.version == 0 && r.seen[p.name] != nil {
		r.seen[p.name] = append(r.seen[p.name], addressesOf(list))
	}
}

func addressesOf(list []abt2.Registration) []string {
	out := []string{}
	for _, x := range list {
		out = append(out, x.Address)
	}
	return out
}

// Read implements abt2.Registry.
func (r *Registry) Read(context.Context) (abt2.Names, error) {
	if err := r.reached(); err != nil {
		return abt2.Names{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.want
	out.Listings = nil
	for _, l := range r.want.Listings {
		l.Instances, l.Others = slices.Clone(l.Instances), nil
		standing := r.places[placeOf(l)]
		l.Instances = slices.DeleteFunc(l.Instances, func(i abt2.TableInstance) bool {
			return !slices.ContainsFunc(standing, func(x abt2.Registration) bool { return x.Address == i.Address })
		})
		for _, x := range standing {
			given := slices.ContainsFunc(l.Instances, func(i abt2.TableInstance) bool { return i.Address == x.Address })
			if x.Instance == "" && !given {
				l.Others = append(l.Others, x)
			}
		}
		out.Listings = append(out.Listings, l)
	}
	return out, nil
}

// Listed implements abt2.Lister.
func (r *Registry) Listed(_ context.Context, n abt2.ServiceName) ([]abt2.Registration, error) {
	if err := r.reached(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.places[place{n, 0}]), nil
}

// Register lists, at a service's unversioned place, what is not ours.
func (r *Registry) Register(n abt2.ServiceName, address, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := place{n, 0}
	r.set(p, append(slices.Clone(r.places[p]), abt2.Registration{Address: address, Host: host}))
}

// Kill ends what an instance has listed, for good.
func (r *Registry) Kill(id abt2.InstanceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead[id] = true
	for p, list := range r.places {
		r.set(p, slices.DeleteFunc(slices.Clone(list), func(x abt2.Registration) bool { return x.Instance == id }))
	}
}

// Watch remembers every state of a service's unversioned place from now on.
func (r *Registry) Watch(n abt2.ServiceName) (seen func() [][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[n] = [][]string{}
	if now := addressesOf(r.places[place{n, 0}]); len(now) > 0 {
		r.seen[n] = append(r.seen[n], now)
	}
	return func() [][]string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.seen[n]
	}
}
