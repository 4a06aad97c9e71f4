package release_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"abt2.dev"
)

// An installation may live for long: what is kept does not grow with every
// release, and nothing that runs becomes a stranger.
func TestReleasesForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, commit := shipped(t)
		by := abt2.By{Operator: "ann"}
		run := func(verb abt2.Verb) {
			t.Helper()
			if _, err := w.engine.Run(t.Context(), abt2.VerbRequest{By: by, Product: abt2.DefaultProduct, Verb: verb}, nil); err != nil {
				t.Fatal(err)
			}
		}
		commit()
		run(abt2.VerbClean)
		const releases = abt2.KeptEnvironments + 50
		for n := range releases {
			if _, err := w.engine.Create(t.Context(), abt2.CreateRequest{By: by, Product: abt2.DefaultProduct}); err != nil {
				t.Fatalf("release %d: %v", n, err)
			}
			content := fmt.Sprint("build ", n)
			a := artifactOf("order", content)
			w.builds.hold(a, content)
			put := abt2.PutRequest{By: by, Product: abt2.DefaultProduct, Modules: []abt2.PutModule{{Module: "order", Artifact: a}}}
			if _, err := w.engine.Put(t.Context(), put); err != nil {
				t.Fatal(err)
			}
			run(abt2.VerbShip)
			run(abt2.VerbCommit)
			run(abt2.VerbClean)
		}
		s, err := w.store.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Environments) > abt2.KeptEnvironments || len(s.Versions) > abt2.KeptEnvironments || len(s.Releases) > abt2.KeptEnvironments || len(s.Sessions) != 0 {
			t.Errorf("kept %d environments, %d versions, %d releases, %d sessions", len(s.Environments), len(s.Versions), len(s.Releases), len(s.Sessions))
		}
		if list, err := w.engine.Validate(t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct}); err != nil || len(list) > 0 {
			t.Errorf("differences: %v, %v", list, err)
		}
		if events, err := w.engine.History(t.Context(), abt2.DefaultProduct, 0); err != nil || len(events) < 5*releases {
			t.Errorf("%d events, %v", len(events), err)
		}
		if _, err := w.engine.Environment(t.Context(), 3); abt2.CodeOf(err) != abt2.CodeNotFound {
			t.Errorf("a forgotten environment: %v", err)
		}
		if e, err := w.engine.Environment(t.Context(), s.LastEnvironment-1); err != nil || e.Role != abt2.RoleRetired {
			t.Errorf("the one before: %+v, %v", e, err)
		}
	})
}
