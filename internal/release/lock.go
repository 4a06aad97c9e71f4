package release

import "context"

// lock is a mutex that can be waited for until a context ends: it is held
// during calls to outside systems, which may take long.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// take locks, or returns the context's cause.
func (l lock) take(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Lock implements sync.Locker.
func (l lock) Lock() { l <- struct{}{} }

// Unlock implements sync.Locker.
func (l lock) Unlock() { <-l }
