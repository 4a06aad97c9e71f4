package feed

import (
	"context"
	"slices"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// Edges returns the ids of the edges that are known, sorted.
func (f *Feed) Edges() []string {
	var ids []string
	for _, r := range f.routersThat(func(r RouterStatus) bool { return r.Role == string(KindEdge) }) {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}

// Edge returns a built-in edge as a driver. It may not have joined yet.
func (f *Feed) Edge(id string) abt2.Edge { return edge{f, id} }

type edge struct {
	feed *Feed
	id   string
}

func (e edge) Apply(ctx context.Context, r abt2.EdgeRoutes) error { return e.feed.Apply(ctx, e.id, r) }
func (e edge) Read(ctx context.Context) (abt2.EdgeRoutes, error)  { return e.feed.Read(ctx, e.id) }
func (e edge) Abilities() []abt2.Ability                          { return e.feed.Abilities(e.id) }

// Abilities lists what an edge said it can do when it last joined; none of one
// that never has.
func (f *Feed) Abilities(edgeID string) []abt2.Ability {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.routers[edgeID]; r != nil {
		return slices.Clone(r.abilities)
	}
	return nil
}

// Apply makes an edge serve exactly routes and returns when it has confirmed
// that it does, waiting until it is connected. Routes older than those it was
// given before, and routes that the edge itself refuses, are an error of
// CodeRefused. When ctx ends first the error is of CodeUnconfirmed; the routes
// stay what the edge is to serve, and are sent to it when it joins.
func (f *Feed) Apply(ctx context.Context, edgeID string, routes abt2.EdgeRoutes) error {
	p, err := f.setRoutes(edgeID, routes)
	if err != nil {
		return err
	}
	var refusal error
	connected := false
	err = f.wait(ctx, func() bool {
		r := f.routers[edgeID]
		if r == nil {
			connected = false
			return false
		}
		connected = r.status.Connected
		if r.applied < p.number && r.refused >= p.number {
			refusal = abt2.Errorf(abt2.CodeRefused, "edge %s refused revision %d: %s", edgeID, p.mark.Revision, r.status.Refused)
		}
		return r.applied >= p.number || refusal != nil
	})
	switch {
	case err == nil:
		return refusal
	case connected:
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "edge %s has not confirmed revision %d", edgeID, p.mark.Revision)
	default:
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "edge %s is not connected", edgeID)
	}
}

// setRoutes makes routes what the edge is to serve, and sends them if it is connected.
func (f *Feed) setRoutes(edgeID string, routes abt2.EdgeRoutes) (*publication, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.routers[edgeID]
	if r == nil {
		r = newRouter()
		r.status.ID, r.status.Role, r.status.Stamper = edgeID, string(KindEdge), true
		f.routers[edgeID] = r
		f.notify()
	}
	if !r.isEdge() {
		return nil, abt2.Errorf(abt2.CodeInvalid, "router %q is a %s, not an edge", edgeID, r.status.Role)
	}
	if r.routes != nil && older(routes.Table.Mark, r.routes.mark) {
		return nil, abt2.Errorf(abt2.CodeRefused, "routes of revision %d are older than revision %d, which edge %s was given", routes.Table.Mark.Revision, r.routes.mark.Revision, edgeID)
	}
	p, err := publishRoutes(f.number+1, r.routes, routes)
	if err != nil {
		return nil, err
	}
	f.number++
	r.routes = p
	r.publish(p)
	return p, nil
}

// Read asks an edge what it serves now, waiting until it is connected. An edge
// that serves nothing yet answers the zero EdgeRoutes. When ctx ends first the
// error is of CodeUnavailable.
func (f *Feed) Read(ctx context.Context, edgeID string) (abt2.EdgeRoutes, error) {
	answer := make(chan *feedpb.EdgeRoutes, 1)
	f.mu.Lock()
	f.read++
	id := f.read
	f.reads[id] = answer
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.reads, id)
		f.mu.Unlock()
	}()
	var asked *stream
	var served *feedpb.EdgeRoutes
	err := f.wait(ctx, func() bool {
		if r := f.routers[edgeID]; r != nil && r.stream != nil && r.stream != asked {
			asked = r.stream // again, should the stream end before the answer
			asked.ask(&feedpb.Read{Id: id, Subject: feedpb.Read_SUBJECT_ROUTES})
		}
		select {
		case served = <-answer:
			return true
		default:
			return false
		}
	})
	switch {
	case err == nil:
		return RoutesFromProto(served)
	case asked == nil:
		return abt2.EdgeRoutes{}, abt2.Wrap(abt2.CodeUnavailable, err, "edge %s is not connected", edgeID)
	default:
		return abt2.EdgeRoutes{}, abt2.Wrap(abt2.CodeUnavailable, err, "edge %s does not answer", edgeID)
	}
}
