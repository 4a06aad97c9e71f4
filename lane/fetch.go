package lane

import (
	"context"
	"errors"
	"sync"
	"time"
)

// fetchTimeout bounds one fetch; every request that waits has its own deadline too.
const fetchTimeout = 5 * time.Second

var errClosed = errors.New("lane: closed")

// fetches makes requests that miss a table at the same time share one fetch.
type fetches struct {
	mu      sync.Mutex
	current *fetch // nil: none under way
	closed  bool
}

type fetch struct {
	done chan struct{}
	err  error // once done is closed
}

func (f *fetches) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// fetch brings the newest table, because env is above all that is known. It
// returns within ctx; the fetch itself goes on for the others that wait.
func (l *Lane) fetch(ctx context.Context, env uint64) error {
	f, err := l.startFetch(env)
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *Lane) startFetch(env uint64) (*fetch, error) {
	l.fetches.mu.Lock()
	defer l.fetches.mu.Unlock()
	if l.fetches.closed {
		return nil, errClosed
	}
	if f := l.fetches.current; f != nil {
		return f, nil
	}
	f := &fetch{done: make(chan struct{})}
	l.fetches.current = f
	l.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, fetchTimeout)
		defer cancel()
		t, err := l.client.Fetch(ctx, env)
		if err == nil {
			err = l.apply(t)
		}
		l.fetches.mu.Lock()
		l.fetches.current = nil
		l.fetches.mu.Unlock()
		f.err = err
		close(f.done)
	})
	return f, nil
}
