package release

import (
	"testing"

	"abt2.dev"
)

// TestUnversionedNameHasOneOwner: what another product has online does not stand
// at an unversioned name, and its commit moves nothing there.
func TestUnversionedNameHasOneOwner(t *testing.T) {
	const owner, other = abt2.DefaultProduct, abt2.ProductName("back")
	v := func(m abt2.ModuleName, n uint64) abt2.VersionID { return abt2.VersionID{Module: m, Number: n} }
	s := abt2.NewState("epoch")
	s.Modules["order"] = &abt2.Module{Owner: owner}
	var table abt2.Table
	for _, id := range []abt2.VersionID{v("order", 1), v("order", 2), v("order", 3), v("stock", 1)} {
		config := abt2.Config{Kind: abt2.KindService}
		if id.Module == "stock" { // never released
			config.Compat = other
		}
		s.Versions[id] = &abt2.Version{ID: id, Config: config}
		table.Versions = append(table.Versions, abt2.TableVersion{ID: id, Kind: abt2.KindService})
	}
	for id, modules := range map[abt2.EnvironmentID][]abt2.VersionID{1: {v("order", 1)}, 2: {v("order", 2)}, 3: {v("order", 3)}, 4: {v("order", 2), v("stock", 1)}} {
		product := owner
		if id > 2 {
			product = other
		}
		table.Environments = append(table.Environments, abt2.TableEnvironment{ID: id, Product: product, Modules: modules})
	}
	for _, c := range []struct {
		ownerHas, otherHas abt2.EnvironmentID
		order              uint64
		stock              bool
	}{
		{ownerHas: 1, otherHas: 3, order: 1},
		{ownerHas: 1, otherHas: 4, order: 1, stock: true},
		{ownerHas: 2, otherHas: 4, order: 2, stock: true},
		{ownerHas: 2, otherHas: 3, order: 2},
	} {
		table.Products = []abt2.TableProduct{{Name: owner, Online: c.ownerHas}, {Name: other, Online: c.otherHas}}
		got := map[abt2.ModuleName][]uint64{}
		for _, l := range desiredListings(s, table) {
			if l.Unversioned {
				got[l.Module] = append(got[l.Module], l.Version.Number)
			}
		}
		if o := got["order"]; len(o) != 1 || o[0] != c.order || (len(got["stock"]) == 1) != c.stock {
			t.Errorf("with %s and %s online there stand %v; want order@%d alone, and stock@1: %t", c.ownerHas, c.otherHas, got, c.order, c.stock)
		}
	}
}
