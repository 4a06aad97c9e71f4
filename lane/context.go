package lane

import (
	"context"
	"sync/atomic"

	"abt2.dev/lane/carry"
	"abt2.dev/lane/stamp"
)

// Environment returns the environment that the context's request is stamped
// with: by Handler, by WithEnvironment, or by OpenTelemetry baggage that an
// instrumented server has extracted.
func Environment(ctx context.Context) (id uint64, ok bool) {
	if s, ok := ctx.Value(scopeKey{}).(*scope); ok {
		return s.env, true
	}
	id = stamp.FromContext(ctx)
	return id, id != 0
}

// WithEnvironment returns a context whose calls are stamped with an
// environment, for work that does not begin with a request of one's own, such
// as a queued message that carries its environment. Zero returns ctx as it is.
func WithEnvironment(ctx context.Context, id uint64) context.Context {
	if id == 0 {
		return ctx
	}
	ctx = stamp.ContextWithBaggage(ctx, nil, id)
	return context.WithValue(ctx, scopeKey{}, &scope{env: id})
}

type scopeKey struct{}

// scope is what a context knows of its environment.
type scope struct {
	env     uint64
	request carry.Request // of a request that is served, or of detached work
	// serving is true while a handler runs, or detached work does: then the request is already counted as
	// carried, and the calls it makes need not be.
	serving atomic.Bool
}

// in returns a request's context with the scope in it. baggage is what the
// request's header of that name holds.
func (s *scope) in(ctx context.Context, baggage []string) context.Context {
	ctx = stamp.ContextWithBaggage(ctx, baggage, s.env)
	return context.WithValue(ctx, scopeKey{}, s)
}
