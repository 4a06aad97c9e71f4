// Package builtin drives the built-in edge: its routes and names travel on the
// feed, its process is kept through its control socket.
package builtin

import (
	"context"

	"abt2.dev"
)

// Link reaches edge processes by their ids; the feed implements it. Both calls
// may come from several goroutines, and wait for an edge that is not there
// until the context ends.
type Link interface {
	// Apply is abt2.Edge's, for the edge of that id.
	Apply(ctx context.Context, edgeID string, r abt2.EdgeRoutes) error
	// Read is abt2.Edge's. The names it returns are those that listen.
	Read(ctx context.Context, edgeID string) (abt2.EdgeRoutes, error)
	// Abilities lists what the edge said it can do when it last came.
	Abilities(edgeID string) []abt2.Ability
}

// Edge is one built-in edge. It implements abt2.Edge and abt2.Abler.
type Edge struct {
	link Link
	id   string
}

// NewEdge returns the edge of that id.
func NewEdge(link Link, id string) *Edge { return &Edge{link, id} }

// Apply implements abt2.Edge. When the context ends the edge may still come to
// serve r; read back, or repeat.
func (e *Edge) Apply(ctx context.Context, r abt2.EdgeRoutes) error {
	return e.link.Apply(ctx, e.id, r)
}

// Abilities implements abt2.Abler: an edge of an earlier program has fewer.
func (e *Edge) Abilities() []abt2.Ability { return e.link.Abilities(e.id) }

// Read implements abt2.Edge.
func (e *Edge) Read(ctx context.Context) (abt2.EdgeRoutes, error) {
	return e.link.Read(ctx, e.id)
}
