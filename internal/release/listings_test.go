package release_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"abt2.dev"
)

var orderListed = abt2.ServiceName{Namespace: "default", Interface: "order"}

// putOne opens a session, unless there is one, and puts one module; without a
// build it is external.
func (w *trial) putOne(m abt2.ModuleName, build, yaml string) error {
	w.t.Helper()
	w.alive()
	ctx, by := context.Background(), abt2.By{Operator: "ann"}
	s := w.state()
	if s.Session(abt2.DefaultProduct) == nil {
		if _, err := w.engine.Create(ctx, abt2.CreateRequest{By: by, Product: abt2.DefaultProduct}); err != nil {
			w.t.Fatal(err)
		}
	}
	put := abt2.PutModule{Module: m, File: []byte(yaml)}
	if build != "" {
		put.Artifact = artifactOf(string(m), build)
		w.builds.hold(put.Artifact, build)
	}
	released := slices.ContainsFunc(s.Releases, func(id abt2.EnvironmentID) bool { return s.Environments[id].Modules[m].Number > 0 })
	_, err := w.engine.Put(ctx, abt2.PutRequest{By: by, Product: abt2.DefaultProduct, Init: !released, Modules: []abt2.PutModule{put}})
	return err
}

// order lists the addresses at order's unversioned place.
func (w *trial) order() []string {
	w.t.Helper()
	w.calm()
	list, err := w.registry.Listed(context.Background(), orderListed)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range list {
		out = append(out, r.Address)
	}
	return out
}

// addressesOf are the addresses of a version's instances.
func (w *trial) addressesOf(version string) []string {
	w.t.Helper()
	list, err := w.platform.Instances(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, i := range list {
		if i.Version.String() == version {
			out = append(out, i.Address)
		}
	}
	slices.Sort(out)
	return out
}

func (w *trial) stands(want []string) {
	w.t.Helper()
	if got := w.order(); !slices.Equal(got, want) || len(want) == 0 {
		w.t.Errorf("at order's unversioned name stand %v, want %v", got, want)
	}
}

// TestStrangers follows those who stood at a name before abt2 came: a switch is
// refused beside them, until they are a version that it withdraws.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrial(t)
		old := []string{"10.0.0.1:80", "10.0.0.2:80"}
		for _, a := range old {
			w.registry.Register(orderListed, a, "old-host")
		}
		seen := w.registry.Watch(orderListed)
		if err := w.putOne("order", "build 1", "kind=service instances=2"); err != nil {
			t.Fatal(err)
		}
		w.run(abt2.VerbShip)
		w.stands(old)
		_, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
		if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "10.0.0.1:80 (old-host), 10.0.0.2:80 (old-host)") || !strings.Contains(err.Error(), "--external=registry") {
			t.Errorf("commit beside strangers: %v", err)
		}
		forced := verb(abt2.VerbCommit)
		forced.Force = true
		if _, err := w.engine.Run(context.Background(), forced, nil); abt2.CodeOf(err) != abt2.CodeRefused {
			t.Errorf("a forced commit beside strangers: %v", err)
		}
		w.stands(old)

		// The operator gives them to a version.
		if err := w.putOne("order", "", "kind=service external=registry"); err != nil {
			t.Fatal(err)
		}
		adopted := w.state().Session(abt2.DefaultProduct).Targets["order"].Put
		if got := w.state().Versions[adopted].Config.External; !slices.Equal(got, old) {
			t.Fatalf("the version answers at %v, want %v", got, old)
		}
		w.run(abt2.VerbShip, abt2.VerbCommit, abt2.VerbClean)
		w.stands(old)
		if err := w.putOne("order", "build 2", "kind=service instances=2"); err != nil {
			t.Fatal(err)
		}
		w.run(abt2.VerbShip, abt2.VerbCommit)
		own := w.addressesOf(w.state().Online(w.state().Products[abt2.DefaultProduct]).Modules["order"].String())
		w.stands(own)
		w.run(abt2.VerbRollback)
		w.stands(old)
		w.run(abt2.VerbCommit)
		w.stands(own)

		// Somebody new comes: an emergency does not wait for them, but hears of them.
		w.registry.Register(orderListed, "10.0.0.9:80", "late-host")
		out, err := w.engine.Run(context.Background(), verb(abt2.VerbRollback), nil)
		if err != nil || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "10.0.0.9:80 (late-host)") {
			t.Errorf("rollback beside a stranger: %v, %v", out.Warnings, err)
		}
		w.stands(append(slices.Clone(old), "10.0.0.9:80"))
		for _, s := range seen() {
			if len(s) == 0 {
				t.Errorf("the list was empty: %v", seen())
			}
		}
	})
}

// TestRegistryLost: a commit waits for a registry that cannot be asked, unless it
// is forced; a rollback does not.
func TestRegistryLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrial(t)
		w.put("1")
		w.run(abt2.VerbShip, abt2.VerbCommit, abt2.VerbClean)
		one := w.addressesOf("order@1")
		w.stands(one)
		w.put("2")
		w.run(abt2.VerbShip)
		two := w.addressesOf("order@2")
		w.registry.Lose(true)
		if _, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil); abt2.CodeOf(err) != abt2.CodeUnavailable || !strings.Contains(err.Error(), "nothing has changed") {
			t.Errorf("commit: %v", err)
		}
		forced := verb(abt2.VerbCommit)
		forced.Force = true
		out, err := w.engine.Run(context.Background(), forced, nil)
		if err != nil || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "not settled yet") {
			t.Errorf("a forced commit: %v, %v", out.Warnings, err)
		}
		out, err = w.engine.Run(context.Background(), verb(abt2.VerbRollback), nil)
		if err != nil || len(out.Warnings) == 0 {
			t.Errorf("rollback: %v, %v", out.Warnings, err)
		}
		if _, err := w.engine.Run(context.Background(), forced, nil); err != nil {
			t.Errorf("a forced commit: %v", err)
		}
		w.registry.Lose(false)
		w.quiet()
		w.stands(two)
		w.check()
	})
}

// TestListingNames: a name in the registry is one module's, and only the owner's
// online version stands there.
func TestListingNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrial(t)
		if err := w.putOne("order", "build 1", "kind=service navi=shop/Order"); err != nil {
			t.Fatal(err)
		}
		if err := w.putOne("stock", "build 1", "kind=service navi=shop/Order"); abt2.CodeOf(err) != abt2.CodeInvalid || !strings.Contains(err.Error(), "module order") {
			t.Errorf("a second module of the same name: %v", err)
		}
		if err := w.putOne("stock", "", "kind=service external=registry"); abt2.CodeOf(err) != abt2.CodeNotFound || !strings.Contains(err.Error(), "default/stock") {
			t.Errorf("a name at which nobody stands: %v", err)
		}
		w.run(abt2.VerbShip, abt2.VerbCommit)
		w.calm()
		at := func(n abt2.ServiceName) int {
			list, err := w.registry.Listed(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if n := at(abt2.ServiceName{Namespace: "shop", Interface: "Order"}); n != 1 {
			t.Errorf("at shop/Order stand %d", n)
		}
		if n := at(orderListed); n != 0 {
			t.Errorf("at the name that order does not have stand %d", n)
		}
		w.check()
	})
}
