// Package carry counts the requests that a process has in flight, by
// environment, so that an environment is taken down only when nobody carries it.
package carry

import (
	"sync"
	"time"

	"abt2.dev/lane/feedpb"
)

// Tracker counts requests in flight. The zero Tracker is ready. All methods may
// be called from any goroutine.
type Tracker struct {
	// Drained is called, if it is not nil, when an environment that was asked
	// about with Watch is no longer carried. It must not block, and is set
	// before the Tracker is used.
	Drained func(env uint64)

	mu      sync.Mutex
	carried map[uint64]*list
	watched map[uint64]bool
	spare   *list // of an environment that is no longer carried, for the next one; may be nil
}

// Request is one request in flight. It belongs to the Tracker between Begin and
// End; the zero Request is ready, and may be part of a larger value.
type Request struct {
	// Close, if it is not nil, ends the request as politely as it can be; it is
	// set before Begin. Tracker.Close calls it at most once, and End waits for that
	// call: it must neither block nor call the Tracker.
	Close func()

	closing    chan struct{} // closed when Close has returned; nil: it has not been called
	env        uint64
	started    time.Time
	prev, next *Request
}

// list holds the requests of one environment, the oldest first.
type list struct {
	count       uint64
	first, last *Request
}

// Begin counts a request as in flight until End.
func (t *Tracker) Begin(r *Request, env uint64) {
	r.env, r.started = env, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.carried[env]
	if l == nil {
		if t.carried == nil {
			t.carried = map[uint64]*list{}
		}
		if l, t.spare = t.spare, nil; l == nil {
			l = &list{}
		}
		t.carried[env] = l
	}
	l.count++
	if r.prev = l.last; r.prev != nil {
		r.prev.next = r
	} else {
		l.first = r
	}
	l.last = r
}

// End ends a request that has begun. It is called exactly once.
func (t *Tracker) End(r *Request) {
	drained, closing := t.end(r)
	if closing != nil {
		<-closing
	}
	if drained && t.Drained != nil {
		t.Drained(r.env)
	}
}

func (t *Tracker) end(r *Request) (drained bool, closing <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	closing, r.closing = r.closing, nil
	l := t.carried[r.env]
	l.count--
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		l.last = r.prev
	}
	r.prev, r.next = nil, nil
	if l.count > 0 {
		return false, closing
	}
	delete(t.carried, r.env)
	t.spare = l
	drained = t.watched[r.env]
	delete(t.watched, r.env)
	return drained, closing
}

// Close asks what is in flight in the environment to end, as far as it can.
func (t *Tracker) Close(env uint64) {
	type call struct {
		close func()
		done  chan struct{}
	}
	var calls []call
	t.mu.Lock()
	if l := t.carried[env]; l != nil {
		for r := l.first; r != nil; r = r.next {
			if r.Close != nil && r.closing == nil {
				done := make(chan struct{})
				r.closing = done
				calls = append(calls, call{r.Close, done})
			}
		}
	}
	t.mu.Unlock()
	for _, c := range calls {
		c.close()
		close(c.done)
	}
}

// Watch asks for one call of Drained when nothing of the environment is carried
// any more. If nothing is carried now, nothing is called, and it returns false.
func (t *Tracker) Watch(env uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.carried[env] == nil {
		return false
	}
	if t.watched == nil {
		t.watched = map[uint64]bool{}
	}
	t.watched[env] = true
	return true
}

// Carried returns what is in flight at this moment, in the form of a report.
func (t *Tracker) Carried() map[uint64]*feedpb.Carried {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[uint64]*feedpb.Carried, len(t.carried))
	for env, l := range t.carried {
		out[env] = &feedpb.Carried{Count: l.count, OldestAgeMs: uint64(time.Since(l.first.started).Milliseconds())}
	}
	return out
}
