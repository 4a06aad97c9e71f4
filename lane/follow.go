package lane

import (
	"context"
	"slices"
	"sync"

	"abt2.dev/lane/route"
)

// Follower keeps connections of its own to instances, as an adapter of a
// protocol may. Its methods are called from any goroutine.
type Follower interface {
	// Changed is called when a newer table is in use. It does not wait for the network.
	Changed()
	// Connected waits until every instance has a connection or has been tried,
	// until it has waited long enough, or until ctx ends.
	Connected(ctx context.Context)
}

// Follow tells f of every table from now on, until stop is called. A table that
// the server sends is confirmed to it when all followers are connected, so that
// users are switched to instances that are connected already.
func (l *Lane) Follow(f Follower) (stop func()) {
	l.followers.add(f)
	return sync.OnceFunc(func() { l.followers.remove(f) })
}

// Instances returns the instances of all versions of a module in the newest
// table, in no particular order. The slice must not be changed.
func (l *Lane) Instances(module string) []*route.Instance {
	if l.static != nil {
		return nil
	}
	return l.router.Snapshot().Instances(module)
}

// StaticAddresses returns the addresses that a module has outside abt2, where it
// has some: the error is a *route.Error of reason NoAddress. Within abt2 outside
// is false.
func (l *Lane) StaticAddresses(module string) (addresses []string, outside bool, err error) {
	if l.static == nil {
		return nil, false, nil
	}
	list := l.static.addresses[module]
	if len(list) == 0 {
		return nil, true, &route.Error{Reason: route.NoAddress, Module: module}
	}
	return slices.Clone(list), true, nil
}

type followers struct {
	mu   sync.Mutex
	list []Follower
}

func (f *followers) add(one Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, one)
}

func (f *followers) remove(one Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.list, one); i >= 0 {
		f.list = slices.Delete(f.list, i, i+1)
	}
}

// all returns those of this moment, for calling them without the lock.
func (f *followers) all() []Follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

func (f *followers) changed() {
	for _, one := range f.all() {
		one.Changed()
	}
}

func (f *followers) connected(ctx context.Context) {
	for _, one := range f.all() {
		one.Connected(ctx)
	}
}
