package route

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrLost is the cause that ends a request at an instance which has left the
// table and does not answer.
var ErrLost = errors.New("route: the instance is not healthy any more and does not answer")

// lostGrace is how long an instance that leaves the table is given to answer
// what it was sent before: one that was only told to end will.
const lostGrace = time.Second

// Expectation is a request, sent to an instance, whose answer is awaited, and
// which may be sent elsewhere should none come. A process that hangs keeps its
// connections, so that nothing but the table tells. The zero Expectation is
// ready; it may be used again when it is over, and may be part of a larger value.
type Expectation struct {
	elsewhere  func() bool
	cancel     context.CancelCauseFunc
	at         *Instance // nil: nothing is awaited
	prev, next *Expectation
	givenUp    bool
}

// expected are the requests at an instance that are awaited.
type expected struct {
	mu    sync.Mutex
	first *Expectation
	lost  bool
}

// Expect begins to await an answer. The context that it returns is for that one
// request: it ends with the cause ErrLost when the instance has left the table,
// no answer has begun a second later, and elsewhere, called then from another
// goroutine, returns true. Over must be called.
func (i *Instance) Expect(ctx context.Context, e *Expectation, elsewhere func() bool) context.Context {
	*e = Expectation{elsewhere: elsewhere, at: i}
	ctx, e.cancel = context.WithCancelCause(ctx)
	x := &i.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.next = x.first; e.next != nil {
		e.next.prev = e
	}
	x.first = e
	if x.lost {
		time.AfterFunc(lostGrace, i.giveUp) // picked in the moment it was lost
	}
	return ctx
}

// lose takes note that the newest table does not hold the instance any more.
func (i *Instance) lose() {
	x := &i.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lost = true; x.first != nil {
		time.AfterFunc(lostGrace, i.giveUp)
	}
}

// giveUp ends what is still awaited and can be sent elsewhere.
func (i *Instance) giveUp() {
	x := &i.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	for e := x.first; e != nil; e = e.next {
		if e.elsewhere() {
			e.givenUp = true
			e.cancel(ErrLost)
		}
	}
}

// Answered takes note that an answer has begun. It returns false if the request
// has been given up meanwhile: the rest of the answer will not come.
func (e *Expectation) Answered() bool {
	e.leave()
	return !e.givenUp
}

// Over ends the request's context, and with it what is left of the request. It
// may be called again, and where nothing was expected.
func (e *Expectation) Over() {
	if e.cancel != nil {
		e.leave()
		e.cancel(nil)
	}
}

// leave takes the request out of those that are awaited.
func (e *Expectation) leave() {
	if e.at == nil {
		return
	}
	x := &e.at.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.next != nil {
		e.next.prev = e.prev
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		x.first = e.next
	}
	e.at, e.prev, e.next = nil, nil, nil
}
