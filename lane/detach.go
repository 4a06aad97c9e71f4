package lane

import (
	"context"
	"sync"
)

// Detach returns a context for work that outlives the request it began in: it
// does not end with ctx, and keeps its values, its environment and its baggage.
// Until release is called the work counts as carried, so that the environment is
// not taken down under it without being waited for, up to the operator's drain
// timeout. Call release when the work is over; calling it again has no effect.
// A context without an environment is detached and not counted.
//
// Call Detach before the request's handler returns: afterwards the environment
// may already be gone.
func (l *Lane) Detach(ctx context.Context) (detached context.Context, release func()) {
	detached = context.WithoutCancel(ctx)
	env, ok := Environment(ctx)
	if !ok {
		return detached, func() {}
	}
	s := &scope{env: env}
	s.serving.Store(true)
	l.carried.Begin(&s.request, env)
	return context.WithValue(detached, scopeKey{}, s), sync.OnceFunc(func() {
		s.serving.Store(false)
		l.carried.End(&s.request)
	})
}
