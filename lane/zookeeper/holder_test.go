package zookeeper_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The shop's registration, as Navi lays them out.
const leaf = "/navi_rpc/shop/Order/127.0.0.1:20000"

func config(addresses []string) zookeeper.Config {
	return zookeeper.Config{Addresses: addresses, SessionTimeout: zktest.SessionTimeout, Buffer: 64 << 10}
}

// connect is somebody else's connection.
func connect(t *testing.T, e *zktest.Ensemble) *zk.Conn {
	t.Helper()
	c := config(e.Addresses())
	c.SessionTimeout = 10 * time.Second
	conn, closeConn, err := zookeeper.Connect(c, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)
	return conn
}

func hold(t *testing.T, c zookeeper.Config, nodes map[string]string) *zookeeper.Holder {
	t.Helper()
	h := zookeeper.NewHolder(c)
	t.Cleanup(h.Close)
	h.Hold(nodes)
	return h
}

// await waits until a holder's own word is as it should be.
func await(t *testing.T, h *zookeeper.Holder, ok func(zookeeper.Held) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		held, changed := h.Held()
		if ok(held) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("it holds %v", held)
		}
	}
}

func holds(paths ...string) func(zookeeper.Held) bool {
	return func(h zookeeper.Held) bool { return h.Trouble == "" && slices.Equal(h.Paths, paths) }
}

// stands waits until ZooKeeper itself shows the node with the data, or none.
func stands(t *testing.T, conn *zk.Conn, p, data string, want bool) *zk.Stat {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		got, stat, err := conn.Get(p)
		if want && err == nil && string(got) == data {
			return stat
		}
		if !want && errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	t.Fatalf("%s: not as it should be (there: %t)", p, want)
	return nil
}

func TestHolder(t *testing.T) {
	e := zktest.Start(t, 1)
	conn := connect(t, e)
	other := "/navi_rpc/shop/Order/127.0.0.1:20001"
	h := hold(t, config(e.Addresses()), map[string]string{leaf: "host-1"})
	await(t, h, holds(leaf))
	stat := stands(t, conn, leaf, "host-1", true)
	if stat.EphemeralOwner == 0 {
		t.Error("the leaf is persistent")
	}
	if _, parent, err := conn.Exists("/navi_rpc/shop/Order"); err != nil || parent.EphemeralOwner != 0 || parent.DataLength != 0 {
		t.Errorf("its parent: %+v, %v", parent, err)
	}

	h.Hold(map[string]string{leaf: "host-1", other: "host-1"})
	await(t, h, holds(leaf, other))
	h.Hold(map[string]string{other: "host-1"})
	await(t, h, holds(other))
	stands(t, conn, leaf, "", false)

	// Deleted by hand: it comes again.
	if err := conn.Delete(other, -1); err != nil {
		t.Fatal(err)
	}
	stands(t, conn, other, "host-1", true)

	// Edited by hand: left as it is until it is asked for again.
	if _, err := conn.Set(other, []byte("by hand"), -1); err != nil {
		t.Fatal(err)
	}
	h.Hold(map[string]string{other: "host-1", leaf: "host-1"})
	stands(t, conn, other, "host-1", true)

	h.Close()
	if ok, _, err := conn.Exists(other); ok || err != nil {
		t.Errorf("it stands though its holder has closed: %v", err)
	}
}

// TestHolderSucceeds: a holder that comes before its predecessor's session has
// expired takes the node over, and nobody sees the list empty.
func TestHolderSucceeds(t *testing.T) {
	e := zktest.Start(t, 1)
	conn := connect(t, e)
	link := e.Link(t)
	slow := config(link.Addresses())
	slow.SessionTimeout = 20 * zktest.SessionTimeout
	first := hold(t, slow, map[string]string{leaf: "host-1"})
	await(t, first, holds(leaf))
	old := stands(t, conn, leaf, "host-1", true).EphemeralOwner
	link.Cut()

	second := hold(t, config(e.Addresses()), map[string]string{leaf: "host-1"})
	await(t, second, holds(leaf))
	if now := stands(t, conn, leaf, "host-1", true).EphemeralOwner; now == old {
		t.Error("the node is still the predecessor's")
	}
}

// TestHolderLeavesWhatIsNotItsOwn: a node that somebody has put there for good is
// reported, not replaced.
func TestHolderLeavesWhatIsNotItsOwn(t *testing.T) {
	e := zktest.Start(t, 1)
	conn := connect(t, e)
	c := config(e.Addresses())
	if err := c.EnsureParents(conn, leaf); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Create(leaf, []byte("mine"), 0, c.ACL()); err != nil {
		t.Fatal(err)
	}
	h := hold(t, c, map[string]string{leaf: "host-1"})
	await(t, h, func(h zookeeper.Held) bool { return len(h.Paths) == 0 && h.Trouble != "" })
	stands(t, conn, leaf, "mine", true)
	if err := conn.Delete(leaf, -1); err != nil {
		t.Fatal(err)
	}
	await(t, h, holds(leaf))
}

// TestHolderComesBack: whatever happens to its session, the nodes stand again.
func TestHolderComesBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		servers int
		strike  func(t *testing.T, e *zktest.Ensemble, l *zktest.Link, conn *zk.Conn)
	}{
		{"the connection is lost", 1, func(t *testing.T, _ *zktest.Ensemble, l *zktest.Link, _ *zk.Conn) {
			l.Cut()
			l.Heal()
		}},
		{"the session expires", 1, func(t *testing.T, _ *zktest.Ensemble, l *zktest.Link, conn *zk.Conn) {
			l.Cut()
			stands(t, conn, leaf, "", false)
			l.Heal()
		}},
		{"the server is away for longer than a session", 1, func(t *testing.T, e *zktest.Ensemble, _ *zktest.Link, _ *zk.Conn) {
			e.Kill(0)
			<-time.After(2 * zktest.SessionTimeout) // away, not unready: nothing else could be waited for
			e.Restart(0)
			e.AwaitReady()
		}},
		{"the leader is killed", 3, func(t *testing.T, e *zktest.Ensemble, _ *zktest.Link, _ *zk.Conn) {
			e.Kill(e.Leader())
			e.Leader()
		}},
		{"the leader stands still", 3, func(t *testing.T, e *zktest.Ensemble, _ *zktest.Link, _ *zk.Conn) {
			e.Pause(e.Leader())
			e.Leader()
		}},
		{"the whole ensemble is restarted", 3, func(t *testing.T, e *zktest.Ensemble, _ *zktest.Link, _ *zk.Conn) {
			e.RestartAll()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := zktest.Start(t, c.servers)
			conn := connect(t, e)
			link := e.Link(t)
			h := hold(t, config(link.Addresses()), map[string]string{leaf: "host-1"})
			await(t, h, holds(leaf))
			stands(t, conn, leaf, "host-1", true)
			c.strike(t, e, link, conn)
			began := time.Now()
			await(t, h, holds(leaf))
			stands(t, conn, leaf, "host-1", true)
			t.Logf("stands again %v after the fault", time.Since(began).Round(time.Millisecond))
		})
	}
}

func TestHolderAbsent(t *testing.T) {
	h := hold(t, config([]string{"127.0.0.1:1", "no-such-host.invalid:2181"}), map[string]string{leaf: "host-1"})
	await(t, h, func(h zookeeper.Held) bool { return h.Trouble != "" })
}

// TestDigest: what is created with a digest only its user may change.
func TestDigest(t *testing.T) {
	e := zktest.Start(t, 1)
	conn := connect(t, e)
	c := config(e.Addresses())
	c.Digest = "abt2:secret"
	h := hold(t, c, map[string]string{leaf: "host-1"})
	await(t, h, holds(leaf))
	stands(t, conn, leaf, "host-1", true) // everybody may read
	if err := conn.Delete(leaf, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("somebody else may delete it: %v", err)
	}
	c.Digest = "abt2:wrong"
	wrong := hold(t, c, map[string]string{"/navi_rpc/shop/Order/127.0.0.1:20001": "host-1"})
	await(t, wrong, func(h zookeeper.Held) bool { return len(h.Paths) == 0 && h.Trouble != "" })
}
