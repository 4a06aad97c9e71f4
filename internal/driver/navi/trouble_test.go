package navi_test

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
	"abt2.dev/internal/driver/navi"
	"abt2.dev/lane/zookeeper/zktest"
)

var orderName = abt2.ServiceName{Namespace: "shop", Interface: "OrderService"}

const orderPlace = navi.DefaultPrefix + "/shop/OrderService"

// stands is what is wanted when a version of order with n instances stands at the
// unversioned place, too.
func stands(k *keepers, l *zktest.Link, version uint64, n int) []abt2.Listing {
	own := abt2.Listing{Module: "order", Name: orderName, Version: abt2.VersionID{Module: "order", Number: version}}
	for i := range n {
		id := abt2.InstanceID(fmt.Sprintf("order-%d-%d", version, 1000*int(version)+i))
		own.Instances = append(own.Instances, abt2.TableInstance{ID: id, Address: k.start(id, l)})
	}
	unversioned := own
	unversioned.Unversioned = true
	return []abt2.Listing{own, unversioned}
}

func namesOf(revision uint64, l ...abt2.Listing) abt2.Names {
	return abt2.Names{Mark: abt2.Mark{Epoch: "e", Revision: revision}, Listings: l}
}

func apply(t testing.TB, r *navi.Registry, n abt2.Names) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.Apply(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// awaitRead reads until ZooKeeper shows what is wanted.
func awaitRead(t testing.TB, r *navi.Registry, want abt2.Names) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		got, err := r.Read(one)
		cancel()
		diff := cmp.Diff(want, got, cmpopts.EquateEmpty())
		if err == nil && diff == "" {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("Read: %v (-want +got):\n%s", err, diff)
		}
	}
}

func children(t testing.TB, conn *zk.Conn, p string) []string {
	t.Helper()
	list, _, err := conn.Children(p)
	if err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	slices.Sort(list)
	return list
}

// TestRegistryComesBack: whatever happens to ZooKeeper, the names are complete
// again by themselves, and a switch works.
func TestRegistryComesBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		servers int
		strike  func(e *zktest.Ensemble, l *zktest.Link, gone func())
	}{
		{"the keepers' sessions expire in a partition", 1, func(_ *zktest.Ensemble, l *zktest.Link, gone func()) {
			l.Cut()
			gone()
			l.Heal()
		}},
		{"the leader is killed", 3, func(e *zktest.Ensemble, _ *zktest.Link, _ func()) { e.Kill(e.Leader()); e.Leader() }},
		{"the ensemble is restarted", 3, func(e *zktest.Ensemble, _ *zktest.Link, _ func()) { e.RestartAll() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := zktest.Start(t, c.servers)
			link, conn, k := e.Link(t), client(t, e), newKeepers(t)
			r := open(t, e, k, nil)
			one, two := stands(k, link, 1, 3), stands(k, link, 2, 3)
			n := namesOf(1, one[0], one[1], two[0])
			apply(t, r, n)
			awaitRead(t, r, n)
			c.strike(e, link, func() {
				for len(children(t, conn, orderPlace)) > 0 {
					time.Sleep(10 * time.Millisecond) // between two looks
				}
			})
			awaitRead(t, r, n)
			n = namesOf(2, one[0], two[0], two[1])
			apply(t, r, n)
			awaitRead(t, r, n)
		})
	}
}

// TestRegistryWithoutZooKeeper: names wait for a ZooKeeper that is not there when
// they are asked for, and is away again for longer than any session.
func TestRegistryWithoutZooKeeper(t *testing.T) {
	e := zktest.Start(t, 1)
	e.Kill(0)
	k := newKeepers(t)
	r := open(t, e, k, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.Claim(ctx); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("Claim: %v; want it unavailable", err)
	}
	one, two := stands(k, nil, 1, 2), stands(k, nil, 2, 2)
	n := namesOf(1, one[0], one[1], two[0])
	if err := r.Apply(ctx, n); abt2.CodeOf(err) != abt2.CodeUnconfirmed {
		t.Errorf("Apply: %v; want it unconfirmed", err)
	}
	if _, err := r.Listed(ctx, orderName); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("Listed: %v; want it unavailable", err)
	}
	e.Restart(0)
	awaitRead(t, r, n)

	e.Kill(0)
	n = namesOf(2, one[0], two[0], two[1]) // a switch meanwhile
	r.Follow(n)
	<-time.After(3 * zktest.SessionTimeout) // away, not unready: nothing else could be waited for
	e.Restart(0)
	awaitRead(t, r, n)
}

// TestRegistryDigest: who has another digest may read, and is told why no more.
func TestRegistryDigest(t *testing.T) {
	e := zktest.Start(t, 1)
	k := newKeepers(t)
	right := open(t, e, k, func(c *navi.Config) { c.ZooKeeper.Digest = "abt2:secret" })
	one := stands(k, nil, 1, 1)
	n := namesOf(1, one...)
	apply(t, right, n)
	awaitRead(t, right, n)

	others := newKeepers(t)
	wrong := open(t, e, others, func(c *navi.Config) { c.ZooKeeper.Digest = "abt2:guess" })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := wrong.Listed(ctx, orderName); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "--zookeeper-digest-file") {
		t.Errorf("Listed: %v; want it refused, with the remedy", err)
	}
	if err := wrong.Apply(ctx, namesOf(1, stands(others, nil, 2, 1)...)); err == nil {
		t.Error("names are written with the wrong digest")
	} else if strings.Contains(err.Error(), "guess") {
		t.Errorf("a secret is shown: %v", err)
	}
	awaitRead(t, right, n)
}

// TestRegistryByHand: what people do to nodes is told, and put right where the
// node is ours.
func TestRegistryByHand(t *testing.T) {
	e := zktest.Start(t, 1)
	conn, k := client(t, e), newKeepers(t)
	r := open(t, e, k, nil)
	one, two := stands(k, nil, 1, 1), stands(k, nil, 2, 1)
	n := namesOf(1, one[0], one[1], two[0])
	apply(t, r, n)
	leaf := path.Join(orderPlace, one[0].Instances[0].Address)

	if _, err := conn.Set(leaf, []byte("by hand"), -1); err != nil {
		t.Fatal(err)
	}
	got, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if others := got.Listings[1].Others; len(others) != 1 || others[0].Instance != one[0].Instances[0].ID || !strings.Contains(others[0].Note, `"by hand"`) {
		t.Errorf("an edited node is told as %+v", others)
	}
	apply(t, r, n) // as refresh does
	awaitRead(t, r, n)

	if err := conn.Delete(leaf, -1); err != nil {
		t.Fatal(err)
	}
	awaitRead(t, r, n)

	// Foreign nodes: an address, one with 1 MB less the protocol's share, a folder.
	big := bytes.Repeat([]byte("x"), 1<<20-1<<10)
	register(t, conn, path.Join(orderPlace, "10.9.9.8:80"), string(big), 0)
	register(t, conn, path.Join(orderPlace, "10.9.9.9:80"), "stranger", 0)
	register(t, conn, path.Join(orderPlace, "config", "timeout"), "5", 0)
	register(t, conn, path.Join(navi.DefaultPrefix, "shop", "1", "OrderService", "10.9.9.9:80"), "stranger", 0)
	foreign := []abt2.Registration{
		{Address: "10.9.9.8:80", Note: fmt.Sprintf("its data has %d bytes", len(big))},
		{Address: "10.9.9.9:80", Host: "stranger"},
		{Address: "config", Junk: true, Note: "is no address"},
	}
	n = namesOf(2, one[0], two[0], two[1])
	apply(t, r, n)                        // a switch leaves them alone
	n.Listings = slices.Clone(n.Listings) // what was applied is the registry's
	n.Listings[0].Others, n.Listings[2].Others = foreign[1:2], foreign
	awaitRead(t, r, n)
	want := []string{"10.9.9.8:80", "10.9.9.9:80", "config", two[0].Instances[0].Address}
	slices.Sort(want)
	if got := children(t, conn, orderPlace); !slices.Equal(got, want) {
		t.Errorf("there stand %v, want %v", got, want)
	}
}

// TestRegistryOwner: one prefix is one installation's.
func TestRegistryOwner(t *testing.T) {
	e := zktest.Start(t, 1)
	k := newKeepers(t)
	first := open(t, e, k, nil)
	n := namesOf(1, stands(k, nil, 1, 1)...)
	apply(t, first, n)

	others := newKeepers(t)
	second := open(t, e, others, func(c *navi.Config) { c.Owner = "installation-2" })
	if err := second.Claim(t.Context()); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "installation-1") {
		t.Errorf("Claim: %v; want it refused, naming the owner", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := second.Apply(ctx, namesOf(1, stands(others, nil, 2, 1)...)); err == nil {
		t.Error("a second installation writes below the prefix")
	}
	awaitRead(t, first, n)

	own := open(t, e, others, func(c *navi.Config) { c.Owner, c.Prefix = "installation-2", "/second/navi" })
	m := namesOf(1, stands(others, nil, 3, 1)...)
	apply(t, own, m)
	awaitRead(t, own, m)
	awaitRead(t, first, n)
	for _, prefix := range []string{"navi_rpc", "/", "/a/", "/a//b", "/a/../b"} {
		wrong := open(t, e, others, func(c *navi.Config) { c.Prefix = prefix })
		if err := wrong.Claim(t.Context()); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("prefix %q: %v; want it refused", prefix, err)
		}
	}
}

// TestRegistryTurnsAround: who changes their mind while an instance is awaited
// that never comes, does not wait for it.
func TestRegistryTurnsAround(t *testing.T) {
	e := zktest.Start(t, 1)
	conn, k, cut := client(t, e), newKeepers(t), e.Link(t)
	r := open(t, e, k, func(c *navi.Config) { c.ZooKeeper.SessionTimeout = 40 * zktest.SessionTimeout })
	one, two := stands(k, nil, 1, 1), stands(k, cut, 2, 1)
	back := namesOf(3, one[0], one[1])
	apply(t, r, namesOf(1, one[0], one[1]))
	cut.Cut()
	stop := watch(t, conn, orderPlace)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.Apply(ctx, namesOf(2, one[0], two[0], two[1])); abt2.CodeOf(err) != abt2.CodeUnconfirmed {
		t.Errorf("an instance that cannot register: %v; want it unconfirmed", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 9*time.Second) // less than the patience with the instance
	defer cancel()
	if err := r.Apply(ctx, back); err != nil {
		t.Errorf("turning around: %v", err)
	}
	for _, s := range stop() {
		if len(s) == 0 {
			t.Error("the list was empty for a moment")
		}
	}
}
