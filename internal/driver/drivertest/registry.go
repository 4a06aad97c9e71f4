package drivertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
)

// RegistryFixture is a registry that lists instances, and the world around it.
type RegistryFixture struct {
	Registry abt2.Lister
	// Start makes an instance exist that can be listed, and returns its address.
	Start func(t *testing.T, id abt2.InstanceID) string
	// Kill ends an instance and whoever keeps it, without a word to anybody.
	Kill func(t *testing.T, id abt2.InstanceID)
	// Stranger registers, at a service's unversioned place, what is not ours.
	Stranger func(t *testing.T, n abt2.ServiceName, address string)
	// Watch reads every state that a service's unversioned place passes through,
	// as a caller of it does, until it is told to stop: then it returns them.
	Watch func(t *testing.T, n abt2.ServiceName) (stop func() [][]string)
}

// Registry checks the contract of abt2.Lister. make returns a fixture of its own
// for each test.
func Registry(t *testing.T, newFixture func(t *testing.T) RegistryFixture) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *lists)
	}{
		{"lists versions and one of them unversioned", listsVersions},
		{"switches without an empty moment", listsSwitch},
		{"takes a module away", listsRemoval},
		{"keeps what stands where nobody is healthy", listsUnhealthy},
		{"names strangers and leaves them", listsStrangers},
		{"withdraws what was given to a version", listsGiven},
		{"lists external versions", listsExternal},
		{"an instance that died is gone", listsDeath},
		{"refuses what is older", listsOrder},
		{"follows", listsFollow},
		{"ends with the context", listsContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &lists{RegistryFixture: newFixture(t), T: t}) })
	}
}

// lists is a test of the suite: a service order in versions 1 and 2.
type lists struct {
	RegistryFixture
	*testing.T
	revision uint64
}

var orderName = abt2.ServiceName{Namespace: "shop", Interface: "OrderService"}

func orderVersion(n uint64) abt2.VersionID { return abt2.VersionID{Module: "order", Number: n} }

// start makes n instances of a version.
func (l *lists) start(version uint64, n int) []abt2.TableInstance {
	l.Helper()
	var out []abt2.TableInstance
	for i := range n {
		id := abt2.InstanceID(fmt.Sprintf("order-%d-%d", version, 10*int(version)+i))
		out = append(out, abt2.TableInstance{ID: id, Address: l.Start(l.T, id)})
	}
	return out
}

func (l *lists) own(version uint64, instances []abt2.TableInstance) abt2.Listing {
	return abt2.Listing{Module: "order", Name: orderName, Version: orderVersion(version), Instances: instances}
}

// stands is the unversioned place, at which a version stands.
func (l *lists) stands(version uint64, instances []abt2.TableInstance) abt2.Listing {
	out := l.own(version, instances)
	out.Unversioned = true
	return out
}

func (l *lists) names(listings ...abt2.Listing) abt2.Names {
	l.revision++
	return abt2.Names{Mark: abt2.Mark{Epoch: "e", Revision: l.revision}, Listings: listings}
}

func (l *lists) apply(listings ...abt2.Listing) abt2.Names {
	l.Helper()
	n := l.names(listings...)
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	if err := l.Registry.Apply(ctx, n); err != nil {
		l.Fatal(err)
	}
	l.reads(n)
	return n
}

// reads checks that Read shows n. What was left to be withdrawn need not be told.
func (l *lists) reads(n abt2.Names) {
	l.Helper()
	got, err := l.Registry.Read(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	if diff := cmp.Diff(n, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(abt2.Listing{}, "Withdraw")); diff != "" {
		l.Errorf("Read (-want +got):\n%s", diff)
	}
}

func addresses(lists ...[]abt2.TableInstance) []string {
	var out []string
	for _, i := range slices.Concat(lists...) {
		out = append(out, i.Address)
	}
	slices.Sort(out)
	return out
}

// never fails the test if a list was empty after it had not been.
func (l *lists) neverEmpty(states [][]string) {
	l.Helper()
	if len(states) == 0 || len(states[len(states)-1]) == 0 {
		l.Fatalf("nothing was seen: %v", states)
	}
	for i, s := range states {
		if len(s) == 0 {
			l.Errorf("state %d of %d is empty: %v", i, len(states), states)
		}
	}
}

func listsVersions(t *testing.T, l *lists) {
	one, two := l.start(1, 2), l.start(2, 1)
	n := l.apply(l.own(1, one), l.own(2, two), l.stands(1, one))
	// The same again, and under another epoch, in which the revision begins anew.
	if err := l.Registry.Apply(t.Context(), n); err != nil {
		t.Error(err)
	}
	n.Mark = abt2.Mark{Epoch: "another", Revision: 1}
	if err := l.Registry.Apply(t.Context(), n); err != nil {
		t.Error(err)
	}
	l.reads(n)
}

func listsSwitch(t *testing.T, l *lists) {
	one, two := l.start(1, 3), l.start(2, 2)
	l.apply(l.own(1, one), l.own(2, two), l.stands(1, one))
	stop := l.Watch(t, orderName)
	l.apply(l.own(1, one), l.own(2, two), l.stands(2, two)) // commit
	l.apply(l.own(1, one), l.own(2, two), l.stands(1, one)) // rollback
	l.apply(l.own(1, one), l.own(2, two), l.stands(2, two))
	states := stop()
	l.neverEmpty(states)
	if last := states[len(states)-1]; !slices.Equal(last, addresses(two)) {
		t.Errorf("in the end there stand %v, want %v", last, addresses(two))
	}
	for _, s := range states { // nobody is missing of one version while some of the other are: they join before any leaves
		if !containsAll(s, addresses(one)) && !containsAll(s, addresses(two)) {
			t.Errorf("a state without all of either: %v", s)
		}
	}
}

func containsAll(list, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(list, w) })
}

func listsRemoval(_ *testing.T, l *lists) {
	one := l.start(1, 2)
	l.apply(l.own(1, one), l.stands(1, one))
	l.apply(l.own(1, one))
	l.apply()
}

func listsUnhealthy(t *testing.T, l *lists) {
	one := l.start(1, 2)
	l.apply(l.own(1, one), l.stands(1, one))
	stop := l.Watch(t, orderName)
	if err := l.Registry.Apply(t.Context(), l.names(l.own(1, nil), l.stands(1, nil))); err != nil {
		t.Error(err)
	}
	l.apply(l.own(1, one[:1]), l.stands(1, one[:1]))
	states := stop()
	l.neverEmpty(states)
	if last := states[len(states)-1]; !slices.Equal(last, addresses(one[:1])) {
		t.Errorf("in the end there stand %v", last)
	}
}

// private returns names of which listings may be changed: those that were applied
// are the registry's.
func private(n abt2.Names) abt2.Names {
	n.Listings = slices.Clone(n.Listings)
	return n
}

func listsStrangers(t *testing.T, l *lists) {
	one, two := l.start(1, 1), l.start(2, 1)
	n := l.apply(l.stands(1, one))
	l.Stranger(t, orderName, "10.9.9.9:80")
	n = private(n)
	n.Listings[0].Others = []abt2.Registration{{Address: "10.9.9.9:80", Host: "stranger"}}
	l.reads(n)
	list, err := l.Registry.Listed(t.Context(), orderName)
	if err != nil {
		t.Fatal(err)
	}
	want := []abt2.Registration{n.Listings[0].Others[0], {Address: one[0].Address, Instance: one[0].ID}}
	slices.SortFunc(want, func(a, b abt2.Registration) int { return slices.Compare([]string{a.Address}, []string{b.Address}) })
	if diff := cmp.Diff(want, list, cmpopts.IgnoreFields(abt2.Registration{}, "Host")); diff != "" {
		t.Errorf("Listed (-want +got):\n%s", diff)
	}
	// Nor does a switch touch it.
	n = l.names(l.stands(2, two))
	if err := l.Registry.Apply(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	n = private(n)
	n.Listings[0].Others = []abt2.Registration{{Address: "10.9.9.9:80", Host: "stranger"}}
	l.reads(n)
	if list, err := l.Registry.Listed(t.Context(), abt2.ServiceName{Namespace: "shop", Interface: "Nobody"}); err != nil || len(list) > 0 {
		t.Errorf("Listed where nothing stands: %v, %v", list, err)
	}
}

func listsGiven(t *testing.T, l *lists) {
	const given = "10.9.9.9:80"
	one := l.start(1, 1)
	l.Stranger(t, orderName, given)
	stop := l.Watch(t, orderName)
	place := l.stands(1, one)
	place.Withdraw = []string{given}
	l.apply(place)
	states := stop()
	l.neverEmpty(states)
	if last := states[len(states)-1]; !slices.Equal(last, addresses(one)) {
		t.Errorf("in the end there stand %v", last)
	}
}

func listsExternal(t *testing.T, l *lists) {
	const outside = "10.9.9.9:80"
	one := l.start(1, 1)
	old := abt2.Listing{
		Module: "order", Name: orderName, Version: orderVersion(2), External: true,
		Instances: []abt2.TableInstance{{ID: "order-2-x", Address: outside}},
	}
	oldStands := old
	oldStands.Unversioned = true
	l.apply(old, l.own(1, one), oldStands)
	stop := l.Watch(t, orderName)
	newStands := l.stands(1, one)
	newStands.Withdraw = []string{outside}
	l.apply(old, l.own(1, one), newStands)
	l.apply(old, l.own(1, one), oldStands)
	l.neverEmpty(stop())
	l.apply()
}

func listsDeath(t *testing.T, l *lists) {
	one := l.start(1, 2)
	n := private(l.apply(l.own(1, one), l.stands(1, one)))
	l.Kill(t, one[0].ID)
	n.Listings[0].Instances, n.Listings[1].Instances = one[1:], one[1:]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		got, err := l.Registry.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if cmp.Equal(n, got, cmpopts.EquateEmpty()) {
			tick.Stop()
			return
		}
		<-tick.C
	}
}

func listsOrder(t *testing.T, l *lists) {
	one := l.start(1, 1)
	older := l.names(l.stands(1, one))
	n := l.apply(l.own(1, one), l.stands(1, one))
	if err := l.Registry.Apply(t.Context(), older); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("older names: %v", err)
	}
	l.Registry.Follow(older)
	l.reads(n)
}

func listsFollow(t *testing.T, l *lists) {
	one := l.start(1, 1)
	stop := l.Watch(t, orderName)
	l.Registry.Follow(l.names(l.stands(1, one)))
	n := l.apply(l.stands(1, one)) // whoever waits for a later one waits for it as well
	l.reads(n)
	l.neverEmpty(stop())
}

func listsContext(t *testing.T, l *lists) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := l.Registry.Apply(ctx, l.names(l.stands(1, []abt2.TableInstance{{ID: "order-1-99", Address: "127.0.0.1:1"}})))
	if err == nil {
		t.Error("an instance that does not exist is listed")
	}
}
