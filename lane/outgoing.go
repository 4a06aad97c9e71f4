package lane

import (
	"context"
	"fmt"

	"abt2.dev/lane/carry"
	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// Call begins a call to a module, by whatever protocol. It is what Transport
// does for HTTP and package lanegrpc for gRPC, for those who adapt another
// protocol: the call is made with the context that is returned, and its End is
// called once, when it is over.
//
// The call's environment is the context's; without one, the environment that
// names this process's own version. One that is above all that are known is
// fetched, within ctx. The error is a *route.Error in its chain, of reason
// Unknown or NoVersion. Outside abt2 the call has an environment only if the
// context has, and cannot be resolved.
func (l *Lane) Call(ctx context.Context, module string) (Call, context.Context, error) {
	c := Call{lane: l, module: module}
	if l.static != nil {
		c.env, c.stamped = Environment(ctx)
		return c, ctx, nil
	}
	scope, _ := ctx.Value(scopeKey{}).(*scope)
	if scope != nil {
		c.env = scope.env
	} else {
		c.env = stamp.FromContext(ctx)
	}
	if c.stamped = c.env != 0; !c.stamped {
		own, err := l.router.Snapshot().Naming(l.self.Version, l.product)
		if err != nil {
			return Call{}, ctx, err
		}
		if l.counts.serving.Load() > 0 {
			l.counts.restamped.Add(1)
		}
		l.countStamped()
		c.env = own.ID
		ctx = WithEnvironment(ctx, own.ID) // for what instruments the call
	}
	if err := l.know(ctx, c.env); err != nil {
		return Call{}, ctx, err
	}
	if scope == nil || !scope.serving.Load() {
		c.carried = &carry.Request{}
		l.carried.Begin(c.carried, c.env)
	}
	return c, ctx, nil
}

// know brings a newer table for an environment above all that are known.
func (l *Lane) know(ctx context.Context, env uint64) error {
	_, err := l.router.Snapshot().Environment(env)
	if route.ReasonOf(err) != route.Unknown {
		return nil // whether it is retired is for Resolve to tell
	}
	if ferr := l.fetch(ctx, env); ferr != nil {
		return fmt.Errorf("%w: %w", err, ferr)
	}
	return nil
}

// Call is a call to a module of its environment. It is used by one goroutine at
// a time.
type Call struct {
	lane     *Lane
	module   string
	env      uint64
	stamped  bool           // the environment was not chosen by this process
	fallback bool           // the online version stands in, and that has been counted
	carried  *carry.Request // nil: it belongs to a request that is counted as carried
}

// Environment returns the call's environment, zero if it has none.
func (c *Call) Environment() uint64 { return c.env }

// Resolve returns the version that the call is for, as of the newest table. It
// has an instance. It is the environment's own, or the online one where that
// stands in for a preview's; only for a call that was stamped before it came to
// this process. The error is a *route.Error.
func (c *Call) Resolve() (*route.Version, error) {
	s := c.lane.router.Snapshot()
	v, err := s.Resolve(c.env, c.module)
	if route.ReasonOf(err) != route.NoInstance || !c.stamped {
		return v, err
	}
	online, ferr := s.ResolveFallback(c.env, c.module)
	if ferr != nil {
		return nil, err
	}
	if !c.fallback {
		c.fallback = true
		c.lane.counts.fallbacks.Add(1)
	}
	return online, nil
}

// Stamp returns what the call carries of its environment: the values of header
// Abt2-Env, which must not be changed, and of header baggage, whose foreign
// members are those of own, the call's own header baggage, or else of ctx.
func (c *Call) Stamp(ctx context.Context, own []string) (env []string, baggage string) {
	if c.lane.static == nil {
		if e, err := c.lane.router.Snapshot().Environment(c.env); err == nil {
			return e.Header, stamp.OutgoingBaggage(ctx, own, e.Baggage[0])
		}
		// retired this moment; the instance is still there
	}
	return []string{stamp.FormatEnv(c.env)}, stamp.OutgoingBaggage(ctx, own, stamp.Member(c.env))
}

// Again counts that the call is sent to another instance.
func (c *Call) Again() { c.lane.counts.retried.Add(1) }

// End is called once, when the call is over.
func (c *Call) End() {
	if c.carried != nil {
		c.lane.carried.End(c.carried)
	}
}
