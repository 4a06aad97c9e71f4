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
	if err := e.checkStrangers(ctx, s, q.Product, out.To, q.Operator); err != nil {
		if !q.Force || !forcible(err) {
			return abt2.Outcome{}, err
		}
		r.report("", "force", "%v", err)
	}
	if missing, err := e.prepare(ctx, r); err != nil {
		return abt2.Outcome{Unconfirmed: missing}, err
	}
	return e.flip(ctx, r, out, (*abt2.State).Commit)
}

// prepare waits until every edge and every router knows the target of the
// switch. When it fails, nothing has changed, and missing names who does not.
func (e *Engine) prepare(ctx context.Context, r *run) (missing []string, err error) {
	q := r.request
	mark, err := e.publishAnew(ctx)
	if err != nil {
		return nil, err
	}
	r.report("", "prepare", "edges and routers confirm revision %d", mark.Revision)
	ack, cancel := context.WithTimeout(ctx, q.AckTimeout)
	defer cancel()
	c := e.confirm(ack, mark, anyRouter, func(missing []string) {
		r.report("", "await", "waiting for %s", few(missing))
	})
	missing = c.missing()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(missing) == 0:
		return nil, nil
	case q.Force:
		r.report("", "force", "not confirmed by %s: %s", few(missing), price(c))
		return nil, nil
	}
	return missing, abt2.Errorf(abt2.CodeUnconfirmed, "nothing has changed: within %s not confirmed by %s; look: abt2 validate --routers --edge; "+
		"one that will not come back: abt2 router forget ID --op=%s; or switch all the same (%s): abt2 commit --force --op=%s",
		q.AckTimeout, few(missing), q.Operator, price(c), q.Operator)
}

// price is what a switch costs that does not wait for those who are missing.
func price(c confirmation) string {
	var out []string
	if len(c.edges) > 0 {
		out = append(out, "users of such an edge stay where they are until it follows")
	}
	if len(c.processes) > 0 {
		out = append(out, "what such a router routes is answered 503 until it follows")
	}
	return strings.Join(out, ", ")
}

// rollback moves every user back to the environment before the last commit.
func (e *Engine) rollback(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	p := s.Products[r.request.Product]
	out := abt2.Outcome{From: p.Online, To: p.Backup}
	if err := e.checkStrangers(ctx, s, p.Name, p.Backup, r.request.Operator); err != nil {
		out.Warnings = append(out.Warnings, strings.TrimPrefix(err.Error(), "nothing has changed: ")) // users are not kept waiting for it
	}
	return e.flip(ctx, r, out, (*abt2.State).Rollback)
}

// flip passes the point of no return: one transaction, then every edge applies
// it, then names and jobs follow.
func (e *Engine) flip(ctx context.Context, r *run, out abt2.Outcome, rule func(*abt2.State, abt2.ProductName, abt2.Actor) error) (abt2.Outcome, error) {
	q := r.request
	out, mark, err := e.turn(ctx, r, out, rule)
	if err != nil {
		return out, err
	}
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
	return e.turned(ctx, r, out, mark)
}

// turn makes the change that sends users elsewhere, in one transaction, and
// waits for every edge and every other stamper to apply it.
func (e *Engine) turn(ctx context.Context, r *run, out abt2.Outcome, rule func(*abt2.State, abt2.ProductName, abt2.Actor) error) (abt2.Outcome, abt2.Mark, error) {
	q := r.request
	begun := time.Now()
	out.Prepared = begun.Sub(r.begun)
	s, err := e.Store.Update(ctx, func(s *abt2.State) error { return rule(s, q.Product, abt2.Actor{Now: begun}) })
	if err != nil {
		return abt2.Outcome{}, abt2.Mark{}, err
	}
	sess := s.Session(q.Product)
	mark, err := e.publish(ctx)
	if err != nil {
		return out, mark, err
	}
	r.report("", "flip", "%s; edges and routers confirm", turnText(out))
	ack, cancel := context.WithTimeout(ctx, q.AckTimeout)
	defer cancel()
	c := e.confirm(ack, mark, isStamper, func(missing []string) {
		r.report("", "await", "waiting for %s", few(missing))
	})
	if ctx.Err() != nil {
		return out, mark, context.Cause(ctx)
	}
	out.Unconfirmed = c.missing()
	out.Switched = time.Since(begun)
	if !c.edgesAt.IsZero() && len(c.processes) > 0 {
		out.Switched = c.edgesAt.Sub(begun) // who has not confirmed is named; waiting for it was no part of the switch
	}
	out.Edges = e.confirmedEdges(mark)
	out.Cookie, out.Link = e.cookie(s, sess), e.link(s, sess)
	return out, mark, nil
}

func turnText(out abt2.Outcome) string {
	if out.Share != 0 {
		return fmt.Sprintf("environment %d is for %s of the visitors", out.To, out.Share)
	}
	return fmt.Sprintf("environment %d is online", out.To)
}

// turned completes what is told of a turn.
func (e *Engine) turned(ctx context.Context, r *run, out abt2.Outcome, mark abt2.Mark) (abt2.Outcome, error) {
	out.Routers = e.confirmedProcesses(mark)
	s, err := e.Store.State(ctx)
	if err != nil {
		return out, err
	}
	out.Next = nextFor(s, r.request.Product, r.request.Operator)
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
	if _, err := e.publish(ctx); err != nil {
		return err
	}
	if err := e.Registry.Apply(ctx, e.registered(s, e.desired().Table)); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "unversioned names have not followed")
	}
	if err := e.startMissing(ctx, r, isJob); err != nil {
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
