// Package route resolves an environment and a module to an instance, inside
// the process and without locks: the core of every router.
package route

import (
	"fmt"
	"sync"
	"sync/atomic"

	"abt2.dev/lane/feedpb"
)

// Mark identifies a table. Within an epoch the higher revision is newer; tables
// of different epochs cannot be compared.
type Mark struct {
	Epoch    string
	Revision uint64
}

// MarkOf returns the mark of a message; nil is the zero Mark.
func MarkOf(m *feedpb.Mark) Mark { return Mark{m.GetEpoch(), m.GetRevision()} }

// Proto returns the mark as a message, nil for the zero Mark.
func (m Mark) Proto() *feedpb.Mark {
	if m == (Mark{}) {
		return nil
	}
	return &feedpb.Mark{Epoch: m.Epoch, Revision: m.Revision}
}

func (m Mark) String() string { return fmt.Sprintf("%s/%d", m.Epoch, m.Revision) }

// Router holds the newest table as a Snapshot. All methods may be called from
// any goroutine; reading never waits for Apply.
type Router struct {
	snapshot atomic.Pointer[Snapshot]

	mu        sync.Mutex           // one Apply at a time
	instances map[string]*Instance // of the current snapshot, by id: requests in flight outlive tables
}

// New returns a Router that knows nothing: every pick fails with Unknown.
func New() *Router {
	r := &Router{instances: map[string]*Instance{}}
	r.snapshot.Store(emptySnapshot())
	return r
}

// Apply replaces the table. Requests that have taken a Snapshot finish with it.
// A table older than the current one, within its epoch, is refused with
// ErrOlder; the same one again is applied again. A table that contradicts
// itself is refused whole. The router keeps no reference to t.
func (r *Router) Apply(t *feedpb.Table) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	mark, have := MarkOf(t.GetMark()), r.Mark()
	if mark.Epoch == "" {
		return fmt.Errorf("table %s has no epoch", mark)
	}
	if mark.Epoch == have.Epoch && mark.Revision < have.Revision {
		return fmt.Errorf("%w: table %s, have %s", ErrOlder, mark, have)
	}
	s, instances, err := build(t, r.instances)
	if err != nil {
		return fmt.Errorf("table %s: %w", mark, err)
	}
	before := r.instances
	r.instances = instances
	r.snapshot.Store(s)
	for id, in := range before {
		if instances[id] != in {
			in.lose()
		}
	}
	return nil
}

// Snapshot returns the newest table, never nil. A request that needs several
// answers takes them all from one Snapshot.
func (r *Router) Snapshot() *Snapshot { return r.snapshot.Load() }

// Mark returns the mark of the newest table; zero before the first.
func (r *Router) Mark() Mark { return r.Snapshot().mark }

// Pick is Snapshot.Pick on the newest table.
func (r *Router) Pick(env uint64, module string) (Pick, error) {
	return r.Snapshot().Pick(env, module)
}

// PickOther is Snapshot.PickOther on the newest table.
func (r *Router) PickOther(env uint64, module string, tried ...*Instance) (Pick, error) {
	return r.Snapshot().PickOther(env, module, tried...)
}
