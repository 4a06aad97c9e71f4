package route

import (
	"context"
	"errors"
	"sync/atomic"
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
// connections, so that nothing but the table tells.
type Expectation struct {
	elsewhere func() bool
	cancel    context.CancelCauseFunc
	forget    func() bool // stops listening for the instance's loss
	state     atomic.Int32
}

// The states of an Expectation.
const (
	awaited int32 = iota
	answered
	givenUp
)

// Expect begins to await an answer. The context that it returns is for that one
// request: it ends with the cause ErrLost when the instance has left the table,
// no answer has begun a second later, and elsewhere, called then from another
// goroutine, returns true. Over must be called, once.
func (i *Instance) Expect(ctx context.Context, elsewhere func() bool) (context.Context, *Expectation) {
	e := &Expectation{elsewhere: elsewhere}
	ctx, e.cancel = context.WithCancelCause(ctx)
	e.forget = context.AfterFunc(i.lost, func() { time.AfterFunc(lostGrace, e.giveUp) })
	return ctx, e
}

func (e *Expectation) giveUp() {
	if e.state.Load() == awaited && e.elsewhere() && e.state.CompareAndSwap(awaited, givenUp) {
		e.cancel(ErrLost)
	}
}

// Answered takes note that an answer has begun. It returns false if the request
// has been given up meanwhile: the rest of the answer will not come.
func (e *Expectation) Answered() bool {
	e.forget()
	return e.state.CompareAndSwap(awaited, answered)
}

// Over ends the request's context, and with it what is left of the request.
func (e *Expectation) Over() {
	e.forget()
	e.state.CompareAndSwap(awaited, answered)
	e.cancel(nil)
}
