package release

import (
	"context"
	"fmt"
	"time"

	"abt2.dev"
)

// retire takes down every environment that nothing names any more, in the one
// order that cuts no request: no edge sends to it, nobody is at work on a
// request of it, streams that go on for longer are closed politely, no router knows it, and only then its instances end. What
// takes longer than limit is told as a warning and left to the keeper.
func (e *Engine) retire(ctx context.Context, r *run, limit time.Duration) (warnings []string, err error) {
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	mark, err := e.publish(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range s.Products {
		for _, id := range p.Retiring {
			r.report("", "drain", "requests of environment %d end", id)
			if missing := e.confirm(wait, mark, isConnected, nil).missing(); len(missing) > 0 {
				return append(warnings, fmt.Sprintf("environment %d stays up: not confirmed by %s", id, few(missing))), ctx.Err()
			}
			if err := e.drain(ctx, r, id, wait, min(limit, closeTimeout)); err != nil {
				if ctx.Err() != nil {
					return warnings, context.Cause(ctx)
				}
				warnings = append(warnings, fmt.Sprintf("environment %d was dropped while requests were at work: %v", id, err))
			}
			if _, err := e.Store.Update(ctx, func(s *abt2.State) error { s.Drained(p.Name, id); return nil }); err != nil {
				return warnings, err
			}
		}
	}
	if mark, err = e.publish(ctx); err != nil {
		return warnings, err
	}
	dropped, cancelDropped := context.WithTimeout(ctx, limit)
	defer cancelDropped()
	if missing := e.confirm(dropped, mark, isConnected, nil).missing(); len(missing) > 0 {
		return append(warnings, "instances stay up until they are forgotten by "+few(missing)), ctx.Err()
	}
	return warnings, e.stopUnused(ctx, r, false)
}

// closeTimeout bounds how long streams that were asked to end are waited for.
const closeTimeout = 8 * time.Second

// drain waits until nothing of the environment is carried. What still is when
// wait ends is asked to end, and gets some time to: streams do, requests in the
// middle of their answer may not.
func (e *Engine) drain(ctx context.Context, r *run, id abt2.EnvironmentID, wait context.Context, grace time.Duration) error {
	err := e.waitDrained(wait, id)
	if err == nil || ctx.Err() != nil {
		return err
	}
	r.report("", "close", "%v; streams are closed", err)
	closing, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	// Where they begin first: a module that ends its side of a stream breaks off
	// what the edge would have ended in the way of its protocol.
	e.Routers.CloseStreams(id, true)
	first, cancelFirst := context.WithTimeout(closing, grace/2)
	defer cancelFirst()
	if err := e.waitDrained(first, id); err == nil || ctx.Err() != nil {
		return err
	}
	e.Routers.CloseStreams(id, false)
	return e.waitDrained(closing, id)
}

// waitDrained waits for the routers, and for those edges that are none but can
// tell what they carry.
func (e *Engine) waitDrained(ctx context.Context, id abt2.EnvironmentID) error {
	if err := e.Routers.WaitDrained(ctx, id); err != nil {
		return err
	}
	for _, t := range e.Edges {
		if d, ok := t.Edge.(abt2.Drainer); ok {
			if err := d.WaitDrained(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// clean ends the session and takes down what only it needed.
func (e *Engine) clean(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	q := r.request
	sess, p := s.Session(q.Product), s.Products[q.Product]
	out := abt2.Outcome{To: p.Online}
	if out.From = sess.Preview; sess.State == abt2.SessionCommitted {
		out.From = p.Backup
	}
	s, err := e.Store.Update(ctx, func(s *abt2.State) error { return s.Clean(q.Product, abt2.Actor{Now: time.Now()}) })
	if err != nil {
		return out, err
	}
	out.Next = nextFor(s, q.Product, q.Operator)
	if out.Warnings, err = e.retire(ctx, r, q.DrainTimeout); err != nil {
		return out, err
	}
	e.keeping.Lock()
	defer e.keeping.Unlock()
	runs := map[abt2.VersionID]bool{}
	for _, v := range e.runningVersions() {
		runs[v] = true
	}
	s, err = e.Store.Update(ctx, func(s *abt2.State) error {
		s.Prune(func(v abt2.VersionID) bool { return runs[v] })
		return nil
	})
	if err != nil {
		return out, err
	}
	n, freed, err := e.Artifacts.Remove(ctx, s.KeptArtifacts(abt2.KeptReleases))
	if n > 0 {
		r.report("", "artifacts", "removed %d old builds, %d bytes", n, freed)
	}
	return out, err
}
