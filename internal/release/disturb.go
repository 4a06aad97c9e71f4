package release

import (
	"context"
	"errors"

	"abt2.dev"
)

// Disturb implements abt2.Disturber. What it strikes it strikes one at a time,
// so that two faults cannot take each other's spare.
func (e *Engine) Disturb(ctx context.Context, q abt2.FaultRequest) (abt2.Fault, error) {
	if e.Faults == nil {
		return abt2.Fault{}, abt2.Errorf(abt2.CodeRefused, "fault %s: this server makes none; start it with --allow-faults, where a drill may kill and pause what runs", q.Kind)
	}
	if err := e.checkReady(); err != nil {
		return abt2.Fault{}, err
	}
	if err := q.Validate(); err != nil {
		return abt2.Fault{}, err
	}
	// The rules first: who may not ask need not wait.
	try := func(s *abt2.State) error {
		return s.Disturb(q.Product, actor(ctx, q.By), abt2.Fault{Kind: q.Kind}, nil)
	}
	if err := e.change(ctx, true, try); err != nil {
		return abt2.Fault{}, err
	}
	if err := e.disturbing.take(ctx); err != nil {
		return abt2.Fault{}, abt2.Wrap(abt2.CodeUnavailable, err, "another fault is only just beginning")
	}
	defer e.disturbing.Unlock()
	switch q.Kind {
	case abt2.FaultServerKill:
		f := abt2.Fault{Kind: q.Kind, Target: "server", For: q.For}
		return e.beginFault(ctx, q, f, func() error { return e.Faults.KillServer(ctx, q.For) })
	case abt2.FaultEdgeUpgrade:
		if len(e.Edges) == 0 {
			return abt2.Fault{}, abt2.Errorf(abt2.CodeRefused, "%s: there is no edge", q.Kind)
		}
		f := abt2.Fault{Kind: q.Kind, Target: e.Edges[q.Pick%uint64(len(e.Edges))].ID}
		return e.beginFault(ctx, q, f, func() error { return e.Faults.UpgradeEdge(ctx, f.Target) })
	}
	return e.strike(ctx, q)
}

// beginFault writes a fault into history and begins it.
func (e *Engine) beginFault(ctx context.Context, q abt2.FaultRequest, f abt2.Fault, begin func() error) (abt2.Fault, error) {
	who := actor(ctx, q.By)
	record := func(failure error) error {
		_, err := e.Store.Update(ctx, func(s *abt2.State) error { return s.Disturb(q.Product, who, f, failure) })
		return err
	}
	if err := record(nil); err != nil {
		return abt2.Fault{}, err
	}
	e.Log.Warn("a fault begins, as asked for", "kind", f.Kind, "target", f.Target, "for", f.For, "operator", who.Operator)
	if err := begin(); err != nil {
		return abt2.Fault{}, errors.Join(err, record(err))
	}
	return f, nil
}

// strike disturbs an instance whose version can spare it.
func (e *Engine) strike(ctx context.Context, q abt2.FaultRequest) (abt2.Fault, error) {
	saboteur, ok := e.Platform.(abt2.Saboteur)
	if !ok {
		return abt2.Fault{}, abt2.Errorf(abt2.CodeRefused, "%s: this platform cannot strike an instance", q.Kind)
	}
	release, err := e.holdTold(ctx, q.Kind)
	if err != nil {
		return abt2.Fault{}, err
	}
	defer release()
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.Fault{}, err
	}
	spare := spares(s, q.Product, e.running(false))
	if len(spare) == 0 {
		return abt2.Fault{}, abt2.Errorf(abt2.CodeRefused, "%s: no version has a healthy instance to spare, and the last one is never struck; give modules more: abt2 scale MODULE=2", q.Kind)
	}
	f := abt2.Fault{Kind: q.Kind, Target: string(spare[q.Pick%uint64(len(spare))]), For: q.For}
	if q.Kind == abt2.FaultInstanceKill {
		f.For = 0
	}
	return e.beginFault(ctx, q, f, func() error {
		switch q.Kind {
		case abt2.FaultInstanceKill:
			return saboteur.Kill(ctx, abt2.InstanceID(f.Target))
		case abt2.FaultRouterPause:
			return saboteur.Pause(ctx, abt2.InstanceID(f.Target), f.For)
		}
		return saboteur.Slow(ctx, abt2.InstanceID(f.Target), f.For)
	})
}

// holdTold waits until whoever routes knows which instances are healthy now: an
// instance of which others have not yet heard is nobody's spare. What runs then
// changes on nobody's order until release is called. Processes that are under a
// fault are not waited for.
func (e *Engine) holdTold(ctx context.Context, k abt2.FaultKind) (release func(), err error) {
	limit, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	for {
		told, err := e.tell(limit)
		if err != nil {
			return nil, abt2.Wrap(abt2.CodeUnavailable, err, "%s: what runs cannot be found", k)
		}
		if missing := e.confirm(limit, told, e.notStruck, nil).missing(); len(missing) > 0 {
			if ctx.Err() != nil {
				return nil, abt2.Wrap(abt2.CodeUnavailable, context.Cause(ctx), "%s: given up", k)
			}
			return nil, abt2.Errorf(abt2.CodeRefused, "%s: not everybody knows yet which instances are healthy: %s; again in a moment", k, few(missing))
		}
		if err := e.placing.take(limit); err != nil {
			return nil, abt2.Errorf(abt2.CodeRefused, "%s: what runs is being changed; again in a moment", k)
		}
		now, err := e.tell(limit)
		if err == nil && now == told {
			return e.placing.Unlock, nil
		}
		e.placing.Unlock()
	}
}

// tell looks at what runs, publishes it, and returns the mark that confirms it.
func (e *Engine) tell(ctx context.Context) (abt2.Mark, error) {
	if err := e.observe(ctx); err != nil {
		return abt2.Mark{}, err
	}
	return e.publish(ctx)
}

func (e *Engine) notStruck(r abt2.RouterStatus) bool {
	for _, i := range e.running(true) {
		if string(i.ID) == r.ID {
			return i.Fault == ""
		}
	}
	return true
}

// spares lists, in their order, the instances of the product's versions beside
// which another one is healthy. One under a fault is nobody's spare, and what
// others run is not ours to strike.
func spares(s *abt2.State, product abt2.ProductName, running []abt2.Instance) []abt2.InstanceID {
	p := s.Products[product]
	named := []*abt2.Environment{s.Online(p), s.Environments[p.Backup], s.Preview(p)}
	sound := map[abt2.VersionID]int{}
	for _, i := range running {
		if i.State == abt2.InstanceHealthy && i.Fault == "" {
			sound[i.Version]++
		}
	}
	var out []abt2.InstanceID
	for _, i := range running {
		if i.State != abt2.InstanceHealthy || i.Fault != "" || sound[i.Version] < 2 || s.Versions[i.Version].External() {
			continue
		}
		for _, env := range named {
			if env != nil && env.Names(i.Version) {
				out = append(out, i.ID)
				break
			}
		}
	}
	return out
}
