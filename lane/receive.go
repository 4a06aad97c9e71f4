package lane

import (
	"context"
	"errors"

	"abt2.dev/lane/stamp"
)

// Receive begins to serve a request, by whatever protocol it came. It is what
// Handler does for HTTP and package lanegrpc for gRPC, for those who adapt
// another protocol: the request is served with the Received's Context, and its
// End is called once, when it has been served. The error is a *RefusedError:
// the request must be answered without its handler.
func (l *Lane) Receive(ctx context.Context, v stamp.Values) (Received, error) {
	to, err := v.Address()
	if err != nil {
		return Received{}, &RefusedError{Malformed, err}
	}
	if l.static == nil && !to.Names(l.self.Version, l.self.Instance) {
		l.counts.misdirected.Add(1)
		return Received{}, &RefusedError{Misdirected, errors.New("this is " + l.self.String() + ", not " + to.String())}
	}
	env, err := v.Environment()
	if err != nil {
		return Received{}, &RefusedError{Malformed, err}
	}
	stamped := env != 0
	switch {
	case stamped:
		l.counts.serving.Add(1)
		l.verify(env)
	case l.static != nil, v.Probe:
		return Received{Context: ctx}, nil
	default:
		own, err := l.router.Snapshot().Naming(l.self.Version, l.product)
		if err != nil {
			return Received{}, &RefusedError{Unplaced, err}
		}
		env = own.ID
		l.countStamped()
	}
	s := &scope{env: env}
	s.serving.Store(true)
	ctx, cancel := context.WithCancelCause(s.in(ctx, v.Baggage))
	s.request.Close = func() { cancel(ErrRetired) }
	l.carried.Begin(&s.request, env)
	return Received{Context: ctx, lane: l, scope: s, cancel: cancel, stamped: stamped}, nil
}

// Received is a request that is being served.
type Received struct {
	// Context is the request's, with its environment in it, also as a member of
	// its OpenTelemetry baggage. It is canceled with the cause ErrRetired when the
	// environment retires while the request is still at work, after everybody has
	// had time to finish.
	Context context.Context

	lane    *Lane
	scope   *scope // nil: it is served without an environment
	cancel  context.CancelCauseFunc
	stamped bool // it came with its environment
}

// End is called once, when the request has been served.
func (r Received) End() {
	if r.scope == nil {
		return
	}
	r.scope.serving.Store(false)
	r.lane.carried.End(&r.scope.request)
	r.cancel(nil)
	if r.stamped {
		r.lane.counts.serving.Add(-1)
	}
}

// Refusal is why a request is answered without its handler.
type Refusal int

// The reasons of a RefusedError.
const (
	Malformed   Refusal = iota + 1 // its stamp or its address: 400, INVALID_ARGUMENT
	Misdirected                    // it is for another version or instance: 421, UNAVAILABLE, and the word that it was refused
	Unplaced                       // it has no stamp, and no environment in use names this version: 503, UNAVAILABLE
)

// RefusedError says why a request is answered without its handler.
type RefusedError struct {
	Reason Refusal
	Err    error
}

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }
