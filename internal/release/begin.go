package release

import (
	"context"
	"slices"
	"time"

	"abt2.dev"
)

// begin brings the engine from nothing to ready.
func (e *Engine) begin(ctx context.Context, moved <-chan struct{}) error {
	if err := e.restoreRouters(ctx); err != nil {
		return err
	}
	if err := e.observe(ctx); err != nil {
		return err
	}
	if err := e.resume(ctx); err != nil {
		return err
	}
	if err := e.recall(ctx); err != nil {
		return err
	}
	if err := e.handOver(ctx, moved); err != nil {
		return err
	}
	mark, err := e.publish(ctx)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, edgeGrace)
	defer cancel()
	var missing []string
	if e.await(wait, func() bool { missing = e.unconfirmedEdges(mark); return len(missing) == 0 }) != nil && ctx.Err() == nil {
		e.Log.Warn("an edge has not confirmed the table; the server goes on without it", "missing", missing)
	}
	for _, t := range e.Edges {
		for _, limit := range limits(t) {
			e.Log.Warn("what an edge lacks", "edge", t.ID, "limit", limit)
		}
	}
	return nil
}

// recall asks the edges what they have been serving, where there are instances
// that cannot be asked: unreachable is not ended, so they keep their place.
func (e *Engine) recall(ctx context.Context) error {
	unknown := func(i abt2.Instance) bool { return i.State == abt2.InstanceUnreachable }
	if !slices.ContainsFunc(e.running(false), unknown) {
		return nil
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	var last abt2.Table
	for _, t := range e.Edges {
		read, cancel := context.WithTimeout(ctx, readLimit)
		got, err := t.Edge.Read(read)
		cancel()
		if err != nil {
			e.Log.Warn("an edge does not tell what it serves; instances that cannot be asked may be left out", "edge", t.ID, "error", err)
		} else if m := got.Table.Mark; m.Epoch != s.Epoch || m.Revision > last.Mark.Revision { // instances have ids of their own in every epoch
			last = got.Table
		}
	}
	if err := e.publishing.take(ctx); err != nil {
		return err
	}
	defer e.publishing.Unlock()
	e.published.Table.Versions = last.Versions
	return nil
}

// edgeGrace is how long a server that starts waits for its edges, so that
// status answers for all of them; it answers without them rather than not at all.
const edgeGrace = 10 * time.Second

// resume takes away the intents that a crash left behind. A verb before its
// point of no return is dropped by that: nothing users see has changed. After
// it the state says what is to be, and the keeper brings the rest about.
func (e *Engine) resume(ctx context.Context) error {
	_, err := e.Store.Update(ctx, func(s *abt2.State) error {
		for name, p := range s.Products {
			if in := p.Intent; in != nil {
				e.Log.Info("a verb was interrupted", "verb", in.Verb, "product", name, "operator", in.Operator, "decided", in.Decided)
				s.End(name)
			}
		}
		return nil
	})
	return err
}
