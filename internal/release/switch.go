package release

import (
	"context"
	"fmt"
	"strings"
	"time"

	"abt2.dev"
)

// commit moves every user to the preview.
func (e *Engine) commit(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	q := r.request
	out := abt2.Outcome{From: s.Products[q.Product].Online, To: s.Session(q.Product).Preview}
	if err := e.prepare(ctx, r); err != nil {
		return out, err
	}
	return e.flip(ctx, r, out, (*abt2.State).Commit)
}

// prepare waits until every edge serves what is published now, the target of
// the switch with it. Nothing has changed when it fails.
func (e *Engine) prepare(ctx context.Context, r *run) error {
	mark, err := e.publishAnew(ctx)
	if err != nil {
		return err
	}
	r.report("", "prepare", "edges and routers confirm revision %d", mark.Revision)
	ack, cancel := context.WithTimeout(ctx, r.request.AckTimeout)
	defer cancel()
	missing := e.confirm(ack, mark, nil)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if edges := e.unconfirmedEdges(mark); len(edges) > 0 {
		return abt2.Errorf(abt2.CodeUnconfirmed, "nothing has changed: within %s not confirmed by %s; look: abt2 validate --edge", r.request.AckTimeout, strings.Join(edges, ", "))
	}
	if len(missing) > 0 {
		r.report("", "prepare", "not confirmed by %s: they ask for what they lack", strings.Join(missing, ", "))
	}
	return nil
}

// rollback moves every user back to the environment before the last commit.
func (e *Engine) rollback(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	p := s.Products[r.request.Product]
	return e.flip(ctx, r, abt2.Outcome{From: p.Online, To: p.Backup}, (*abt2.State).Rollback)
}

// flip passes the point of no return: one transaction, then every edge applies
// it, then names and jobs follow.
func (e *Engine) flip(ctx context.Context, r *run, out abt2.Outcome, rule func(*abt2.State, abt2.ProductName, abt2.Actor) error) (abt2.Outcome, error) {
	q := r.request
	begun := time.Now()
	s, err := e.Store.Update(ctx, func(s *abt2.State) error { return rule(s, q.Product, abt2.Actor{Now: begun}) })
	if err != nil {
		return out, err
	}
	p, sess := s.Products[q.Product], s.Session(q.Product)
	mark, err := e.publish(ctx)
	if err != nil {
		return out, err
	}
	r.report("", "flip", "environment %d is online; edges and routers confirm", out.To)
	ack, cancel := context.WithTimeout(ctx, q.AckTimeout)
	defer cancel()
	var edgesDone time.Time
	out.Unconfirmed = e.confirm(ack, mark, &edgesDone)
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	if edgesDone.IsZero() {
		edgesDone = time.Now()
	}
	out.Switched = edgesDone.Sub(begun)
	out.Edges = len(e.syncers) - len(e.unconfirmedEdges(mark))
	out.Routers = e.confirmedProcesses(mark)
	out.Cookie, out.Link = e.cookie(p, sess), e.link(p, sess)

	r.report("", "settle", "unversioned names and jobs follow")
	settle, cancelSettle := context.WithTimeout(ctx, q.SettleTimeout)
	defer cancelSettle()
	settling := time.Now()
	if err := e.settle(settle, r, q.Product); err != nil {
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		out.Warnings = append(out.Warnings, fmt.Sprintf("not settled yet: %v; the server keeps at it, look: abt2 status", err))
	}
	out.Settled = time.Since(settling)
	if s, err = e.Store.State(ctx); err != nil {
		return out, err
	}
	out.Next = nextFor(s, q.Product, q.Operator)
	return out, nil
}

// settle lets unversioned names and jobs follow the product's online
// environment, and records that they have.
func (e *Engine) settle(ctx context.Context, r *run, product abt2.ProductName) error {
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	online := s.Products[product].Online
	mark, err := e.publish(ctx)
	if err != nil {
		return err
	}
	if err := e.Registry.Apply(ctx, abt2.Names{Mark: mark, Names: desiredNames(s)}); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "unversioned names have not followed")
	}
	if err := e.startMissing(ctx, r, true); err != nil {
		return err
	}
	jobs := map[abt2.VersionID]int{}
	for v, n := range desiredVersions(s) {
		if s.Versions[v].Config.Kind == abt2.KindJob {
			jobs[v] = n
		}
	}
	var waiting []string
	err = e.await(ctx, func() bool {
		waiting = waiting[:0]
		running := e.running(false)
		for _, v := range sortedVersions(jobs) {
			if n := healthy(running, v); n < jobs[v] {
				waiting = append(waiting, fmt.Sprintf("job %s: %d of %d run", v, n, jobs[v]))
			}
		}
		return len(waiting) == 0
	})
	if err != nil {
		return abt2.Errorf(abt2.CodeFailed, "%s", strings.Join(waiting, ", "))
	}
	_, err = e.Store.Update(ctx, func(s *abt2.State) error { s.Settled(product, online); return nil })
	return err
}
