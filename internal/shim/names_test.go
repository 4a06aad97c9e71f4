package shim

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"github.com/go-zookeeper/zk"
	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// TestHoldsNames: names stand for as long as the child is ready, through the
// shim's own end, and go before the child does.
func TestHoldsNames(t *testing.T) {
	e := zktest.Start(t, 1)
	conn, closeConn, err := zookeeper.Connect(zookeeper.Config{Addresses: e.Addresses()}, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)
	const leaf, other = "/navi_rpc/shop/Order/127.0.0.1:20017", "/navi_rpc/shop/3/Order/127.0.0.1:20017"
	there := func(p string) bool {
		data, stat, err := conn.Get(p)
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			t.Fatalf("%s: %v", p, err)
		}
		return err == nil && stat.EphemeralOwner != 0 && string(data) == "host-1"
	}

	k := instance(t, `exec sleep 1000`)
	k.run()
	k.until("healthy", healthy)
	hold := func(revision uint64, paths ...string) error {
		nodes := map[string]string{}
		for _, p := range paths {
			nodes[p] = "host-1"
		}
		_, err := k.client.Hold(t.Context(), connect.NewRequest(&shimpb.HoldRequest{Names: &shimpb.Names{
			Epoch: "e", Revision: revision, Nodes: nodes,
			Zookeeper: &shimpb.ZooKeeper{Addresses: e.Addresses(), SessionTimeout: durationpb.New(zktest.SessionTimeout), Digest: "abt2:secret"},
		}}))
		return err
	}
	holds := func(paths ...string) func(*shimpb.Status) bool {
		return func(s *shimpb.Status) bool {
			return slices.Equal(s.GetHeld().GetPaths(), paths) && s.GetHeld().GetTrouble() == ""
		}
	}
	if err := hold(2, leaf, other); err != nil {
		t.Fatal(err)
	}
	k.until("both names", holds(other, leaf))
	if !there(leaf) || !there(other) {
		t.Error("the names do not stand")
	}
	if err := hold(1, other); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("older names: %v; want them refused", err)
	}
	if st, err := os.Stat(filepath.Join(k.dir, shimpb.NamesFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("what the shim was told: %v, %v; want mode 0600, it holds a secret", st, err)
	}

	// A shim that dies takes its names along when its session expires; the next
	// one holds them without being asked.
	k.kill()
	k.poll("the end of a dead shim's names", func() bool { return !there(leaf) && !there(other) })
	k.run()
	k.until("both names again", holds(other, leaf))

	if err := hold(3, leaf); err != nil {
		t.Fatal(err)
	}
	k.until("one name", holds(leaf))
	if there(other) {
		t.Error("a name that was withdrawn stands")
	}
	k.stop()
	if there(leaf) {
		t.Error("a name stands after Stop")
	}
}
