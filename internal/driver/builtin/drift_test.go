package builtin_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
)

// TestServerOverwritesWhatAHandHasLeft: an edge that begins anew with kept
// routes which somebody has changed serves them until it is connected, no longer.
func TestServerOverwritesWhatAHandHasLeft(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	s := newSupervisor(t, dir, f.address)
	leave := run(t, s)
	t.Cleanup(func() {
		leave()
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := builtin.NewEdge(f, edgeID)
	want := abt2.EdgeRoutes{Table: abt2.Table{
		Mark: abt2.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: 2,
		Products: []abt2.TableProduct{{Name: abt2.DefaultProduct, Online: 1, Preview: 2}},
		Environments: []abt2.TableEnvironment{
			{ID: 1, Product: abt2.DefaultProduct, WasOnline: true}, {ID: 2, Product: abt2.DefaultProduct},
		},
	}}
	if err := e.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	driftKept(t, dir)
	crash(t, s, dir)
	until(t, func() bool {
		got, err := e.Read(t.Context())
		return err == nil && cmp.Equal(want, got, cmpopts.EquateEmpty())
	})
}
