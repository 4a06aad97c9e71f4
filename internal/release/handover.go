package release

import (
	"context"
	"time"

	"abt2.dev"
)

// handOver lets users stay where they are until what they are to be led to
// stands: after a restore, edges still serve the table of another epoch, and
// the restored environment may not be running. Until it is, routers get a table
// in which both are and the one from before is online. It gives up after the
// longest ready_timeout, since what has not come up by then may never. What the
// platform tells through moved is heeded meanwhile.
func (e *Engine) handOver(ctx context.Context, moved <-chan struct{}) error {
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	want := map[abt2.VersionID]int{}
	var limit time.Duration
	first := firstRoles(s)
	for v, n := range desiredVersions(s) {
		if ver := s.Versions[v]; first[v] == abt2.RoleOnline && !isJob(*ver) {
			want[v] = n
			limit = max(limit, time.Duration(ver.Config.ReadyTimeout))
		}
	}
	down := func() bool {
		running := e.running(false)
		for v, n := range want {
			if healthy(running, v) < n {
				return true
			}
		}
		return false
	}
	if !down() {
		return nil
	}
	if e.heldAt = e.servedFromAnotherEpoch(ctx, s); len(e.heldAt) == 0 {
		return nil
	}
	e.Log.Info("users stay where they were before the restore until what is online now stands", "environments", e.heldAt, "at_most", limit)
	if _, err := e.publish(ctx); err != nil {
		return err
	}
	quiet := &run{done: make(chan struct{})}
	if err := e.startMissing(ctx, quiet, func(v abt2.Version) bool { return want[v.ID] > 0 }); err != nil && ctx.Err() == nil {
		e.Log.Warn("not all that users are to be served by could be started", "error", err)
	}
	e.awaitUp(ctx, moved, limit, down)
	// As before any switch: everybody knows what it leads to.
	mark, err := e.publish(ctx)
	if err != nil {
		return err
	}
	ack, cancel := context.WithTimeout(ctx, edgeGrace)
	defer cancel()
	if missing := e.confirm(ack, mark, isConnected, nil).missing(); len(missing) > 0 && ctx.Err() == nil {
		e.Log.Warn("users are led back although not all routers have confirmed that they know where to", "missing", missing)
	}
	if err := e.publishing.take(ctx); err != nil {
		return err
	}
	defer e.publishing.Unlock()
	e.heldAt = nil
	return nil
}

// awaitUp waits until down tells no more that something is, at most for limit.
func (e *Engine) awaitUp(ctx context.Context, moved <-chan struct{}, limit time.Duration, down func() bool) {
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for down() {
		select {
		case <-moved:
		case <-wait.Done():
			return
		}
		if err := e.observe(wait); err != nil && wait.Err() == nil {
			e.Log.Warn("what runs could not be found", "error", err)
		}
	}
}

// servedFromAnotherEpoch asks the edges where they lead users of each product,
// as far as the state knows the environment as one that is still carried.
func (e *Engine) servedFromAnotherEpoch(ctx context.Context, s *abt2.State) map[abt2.ProductName]abt2.EnvironmentID {
	out := map[abt2.ProductName]abt2.EnvironmentID{}
	live := map[abt2.EnvironmentID]bool{}
	for _, environment := range s.Live() {
		live[environment.ID] = true
	}
	for _, t := range e.Edges {
		read, cancel := context.WithTimeout(ctx, readLimit)
		got, err := t.Edge.Read(read)
		cancel()
		if err != nil {
			e.Log.Warn("an edge does not tell what it serves", "edge", t.ID, "error", err)
			continue
		}
		if epoch := got.Table.Mark.Epoch; epoch == "" || epoch == s.Epoch {
			continue
		}
		for _, p := range got.Table.Products {
			if own := s.Products[p.Name]; own != nil && own.Online != p.Online && live[p.Online] {
				out[p.Name] = p.Online
			}
		}
	}
	return out
}
