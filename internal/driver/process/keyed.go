package process

import (
	"context"
	"sync"

	"abt2.dev"
)

// keyed is a lock for each version. Its zero value is ready for use.
type keyed struct {
	mu    sync.Mutex
	locks map[abt2.VersionID]*keyedLock
}

type keyedLock struct {
	held  chan struct{} // has room while nobody holds the lock
	users int           // who hold it or wait for it
}

// lock waits until nobody else holds the version's lock, or returns the cause
// of ctx's end.
func (k *keyed) lock(ctx context.Context, v abt2.VersionID) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[abt2.VersionID]*keyedLock{}
	}
	l := k.locks[v]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[v] = l
	}
	l.users++
	k.mu.Unlock()

	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, v)
		}
	}
	if ctx.Err() != nil {
		leave()
		return nil, context.Cause(ctx)
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
