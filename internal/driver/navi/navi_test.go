package navi_test

import (
	"context"
	"fmt"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/navi"
	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keepers stand for instances' shims: each holds names in a session of its own.
type keepers struct {
	t  testing.TB
	mu sync.Mutex
	of map[abt2.InstanceID]*keeper
}

type keeper struct {
	address string
	link    *zktest.Link // what it reaches ZooKeeper by; nil: itself
	holder  *zookeeper.Holder
}

func newKeepers(t testing.TB) *keepers {
	k := &keepers{t: t, of: map[abt2.InstanceID]*keeper{}}
	t.Cleanup(func() {
		for _, one := range k.of {
			if one.holder != nil {
				one.holder.Close()
			}
		}
	})
	return k
}

func (k *keepers) start(id abt2.InstanceID, link *zktest.Link) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	address := fmt.Sprintf("127.0.0.1:%d", 20001+len(k.of))
	k.of[id] = &keeper{address: address, link: link}
	return address
}

// kill takes the keeper's way to ZooKeeper, so that it can say no goodbye.
func (k *keepers) kill(id abt2.InstanceID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.of[id].link.Cut()
}

func (k *keepers) Hold(_ context.Context, id abt2.InstanceID, n *shimpb.Names) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.of[id]
	if one == nil {
		return abt2.Errorf(abt2.CodeNotFound, "instance %q: does not exist", id)
	}
	if one.holder == nil {
		c := zookeeper.Config{
			Addresses: n.GetZookeeper().GetAddresses(), Digest: n.GetZookeeper().GetDigest(),
			SessionTimeout: n.GetZookeeper().GetSessionTimeout().AsDuration(), Buffer: 64 << 10,
		}
		if one.link != nil {
			c.Addresses = one.link.Addresses()
		}
		one.holder = zookeeper.NewHolder(c)
	}
	one.holder.Hold(n.GetNodes())
	return nil
}

func (k *keepers) Holdings(context.Context) map[abt2.InstanceID]*shimpb.Held {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[abt2.InstanceID]*shimpb.Held{}
	for id, one := range k.of {
		if one.holder != nil {
			held, _ := one.holder.Held()
			out[id] = &shimpb.Held{Paths: held.Paths, Trouble: held.Trouble}
		}
	}
	return out
}

const host = "host-1"

// open starts a registry of the installation named owner.
func open(t testing.TB, e *zktest.Ensemble, k *keepers, edit func(*navi.Config)) *navi.Registry {
	t.Helper()
	c := navi.Config{
		ZooKeeper: zookeeper.Config{Addresses: e.Addresses(), SessionTimeout: zktest.SessionTimeout},
		Owner:     "installation-1", Host: host, Holders: k,
	}
	if edit != nil {
		edit(&c)
	}
	r, err := navi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx) // the context's cause
	}()
	t.Cleanup(func() {
		stop()
		<-done
		r.Close()
	})
	return r
}

// client is a connection of somebody else's.
func client(t testing.TB, e *zktest.Ensemble) *zk.Conn {
	t.Helper()
	conn, closeConn, err := zookeeper.Connect(zookeeper.Config{Addresses: e.Addresses()}, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)
	return conn
}

func register(t testing.TB, conn *zk.Conn, p, data string, flags int32) {
	t.Helper()
	c := zookeeper.Config{}
	if err := c.EnsureParents(conn, p); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Create(p, []byte(data), flags, c.ACL()); err != nil {
		t.Fatal(err)
	}
}

// watch reads a place's children whenever they change, as Navi's clients do.
func watch(t testing.TB, conn *zk.Conn, p string) (stop func() [][]string) {
	t.Helper()
	if err := (zookeeper.Config{}).EnsureParents(conn, path.Join(p, "x")); err != nil {
		t.Fatal(err)
	}
	var states [][]string
	list, _, fires, err := conn.ChildrenW(p)
	if err != nil {
		t.Fatal(err)
	}
	ended, done := make(chan struct{}), make(chan struct{})
	see := func() {
		slices.Sort(list)
		if len(states) > 0 || len(list) > 0 { // until the first comes there is nothing to lose
			states = append(states, list)
		}
	}
	go func() {
		defer close(done)
		for see(); ; see() {
			select {
			case <-fires:
			case <-ended:
				return
			}
			if list, _, fires, err = conn.ChildrenW(p); err != nil {
				t.Errorf("watching %s: %v", p, err)
				return
			}
		}
	}()
	return func() [][]string {
		close(ended)
		<-done
		now, _, err := conn.Children(p)
		if err != nil {
			t.Error(err)
		}
		slices.Sort(now)
		return append(states, now)
	}
}

func TestRegistry(t *testing.T) {
	e := zktest.Start(t, 1)
	prefixes := 0
	drivertest.Registry(t, func(t *testing.T) drivertest.RegistryFixture {
		prefixes++
		prefix := fmt.Sprintf("/suite-%d", prefixes)
		conn, k := client(t, e), newKeepers(t)
		r := open(t, e, k, func(c *navi.Config) { c.Prefix = prefix })
		at := func(n abt2.ServiceName) string { return path.Join(prefix, n.Namespace, n.Interface) }
		return drivertest.RegistryFixture{
			Registry: r,
			Start:    func(t *testing.T, id abt2.InstanceID) string { return k.start(id, e.Link(t)) },
			Kill:     func(_ *testing.T, id abt2.InstanceID) { k.kill(id) },
			Stranger: func(t *testing.T, n abt2.ServiceName, address string) {
				register(t, conn, path.Join(at(n), address), "stranger", zk.FlagEphemeral)
			},
			Watch: func(t *testing.T, n abt2.ServiceName) func() [][]string { return watch(t, conn, at(n)) },
		}
	})
}
