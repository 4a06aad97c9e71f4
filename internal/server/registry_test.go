package server_test

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
	"abt2.dev/internal/server"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// orderPlace is where callers that know nothing of versions look for order.
const orderPlace = "/navi_rpc/default/com.example.Order"

func naviConfig(e *zktest.Ensemble) func(*server.Config) {
	return func(c *server.Config) {
		c.Registry, c.ZooKeeper = server.RegistryNavi, server.ZooKeeper{Addresses: e.Addresses(), Session: zktest.SessionTimeout}
	}
}

// outsider is somebody else's connection to ZooKeeper.
func outsider(t *testing.T, e *zktest.Ensemble) *zk.Conn {
	t.Helper()
	conn, closeConn, err := zookeeper.Connect(zookeeper.Config{Addresses: e.Addresses()}, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)
	return conn
}

// listed is what stands at a path, sorted.
func listed(t *testing.T, conn *zk.Conn, p string) []string {
	t.Helper()
	list, _, err := conn.Children(p)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		t.Fatalf("%s: %v", p, err)
	}
	slices.Sort(list)
	return list
}

// watchPlace reads what stands at a path at every change, until it is told to stop.
func watchPlace(t *testing.T, conn *zk.Conn, p string) (stop func() [][]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var states [][]string
	list, _, fires, err := conn.ChildrenW(p)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(done)
		for err == nil {
			slices.Sort(list)
			states = append(states, list)
			select {
			case <-fires:
				list, _, fires, err = conn.ChildrenW(p)
			case <-ctx.Done():
				return
			}
		}
		t.Errorf("watching %s: %v", p, err)
	}()
	return func() [][]string {
		cancel()
		<-done
		return states
	}
}

// TestNaviRegistry releases a service whose callers look into ZooKeeper.
func TestNaviRegistry(t *testing.T) {
	e := zktest.Start(t, 1)
	conn := outsider(t, e)
	in := prepare(t)
	in.tune = naviConfig(e)
	host := "127.0.0.1:"
	if runtime.GOOS == "linux" { // where every address of 127.0.0.0/8 is this machine's
		host = "127.0.0.2:"
		in.tune = func(c *server.Config) { naviConfig(e)(c); c.Advertise = "127.0.0.2" }
	}
	in.start()

	// Somebody's own process stands there already.
	const old = "127.0.0.1:9"
	at := path.Join(orderPlace, old)
	if err := (zookeeper.Config{}).EnsureParents(conn, at); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Create(at, []byte("host-of-old"), zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	in.create()
	in.put("web", "order", 1, "kind: edge\nprefix: /\nhealth: /healthz\nready_timeout: 10s\n", true)
	in.put("order", "", 1, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\nnavi: {interface: com.example.Order}\n", true)
	in.verb(abt2.VerbShip)
	commit := abt2.VerbRequest{By: ann, Verb: abt2.VerbCommit, Product: abt2.DefaultProduct, Yes: true}
	if _, err := in.api.Run(t.Context(), commit, func(abt2.Progress) {}); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), "host-of-old") {
		t.Errorf("a commit beside a stranger: %v; want it refused, naming who stands there", err)
	}
	if got := listed(t, conn, orderPlace); !slices.Equal(got, []string{old}) {
		t.Errorf("there stand %v, want the stranger alone", got)
	}
	if err := conn.Delete(at, -1); err != nil {
		t.Fatal(err)
	}
	in.verb(abt2.VerbCommit)
	in.verb(abt2.VerbClean)
	one := listed(t, conn, "/navi_rpc/default/1/com.example.Order")
	if got := listed(t, conn, orderPlace); len(one) != 2 || !slices.Equal(got, one) {
		t.Errorf("unversioned there stand %v, of version 1 %v", got, one)
	}
	if !strings.HasPrefix(one[0], host) {
		t.Errorf("%s is registered, want an address that begins with %s", one[0], host)
	}
	if data, stat, err := conn.Get(path.Join(orderPlace, one[0])); err != nil || stat.EphemeralOwner == 0 || len(data) == 0 {
		t.Errorf("a leaf: %q, %+v, %v; want a host's name in an ephemeral node", data, stat, err)
	}
	in.noDifference()

	in.create()
	in.put("order", "", 2, "", false)
	in.verb(abt2.VerbShip)
	two := listed(t, conn, "/navi_rpc/default/2/com.example.Order")
	if got := listed(t, conn, orderPlace); len(two) != 2 || !slices.Equal(got, one) {
		t.Errorf("beside a preview of %v there stand %v, want %v", two, got, one)
	}
	states := watchPlace(t, conn, orderPlace)
	for range 3 {
		in.verb(abt2.VerbCommit)
		if got := listed(t, conn, orderPlace); !slices.Equal(got, two) {
			t.Errorf("after commit there stand %v, want %v", got, two)
		}
		in.verb(abt2.VerbRollback)
		if got := listed(t, conn, orderPlace); !slices.Equal(got, one) {
			t.Errorf("after rollback there stand %v, want %v", got, one)
		}
	}
	in.verb(abt2.VerbCommit)
	for _, s := range states() {
		if !subset(one, s) && !subset(two, s) {
			t.Errorf("a state without all of either version: %v", s)
		}
	}
	in.noDifference()

	// Names outlive the server.
	if err := in.stop(); err != nil {
		t.Error(err)
	}
	if got := listed(t, conn, orderPlace); !slices.Equal(got, two) {
		t.Errorf("without a server there stand %v, want %v", got, two)
	}
	in.start()
	in.verb(abt2.VerbClean)
	if got := listed(t, conn, "/navi_rpc/default/1/com.example.Order"); len(got) > 0 {
		t.Errorf("what is taken down still stands: %v", got)
	}
	in.noDifference()

	// A stranger is named.
	if _, err := conn.Create(at, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	d, err := in.api.Validate(t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct, Registry: true})
	if err != nil || len(d) != 1 || !strings.Contains(d[0].Is, old) || !strings.Contains(d[0].Remedy, "--external=registry") {
		t.Errorf("validate beside a stranger: %+v, %v", d, err)
	}
	if _, err := in.api.Run(t.Context(), abt2.VerbRequest{By: ann, Verb: abt2.VerbRefresh, Product: abt2.DefaultProduct, Yes: true, Prune: true}, func(abt2.Progress) {}); err != nil {
		t.Error(err)
	}
	if got := listed(t, conn, orderPlace); !slices.Contains(got, old) {
		t.Errorf("refresh has deleted a stranger: %v", got)
	}
}

func subset(part, of []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(of, s) })
}

// TestNaviRegistryIsOwned: a second installation does not write below the prefix
// of the first.
func TestNaviRegistryIsOwned(t *testing.T) {
	e := zktest.Start(t, 1)
	first := prepare(t)
	first.tune = naviConfig(e)
	first.start()

	second := prepare(t)
	c := server.Config{
		Program: second.command, DataDir: second.dir, Listen: "127.0.0.1:0", EdgeListen: "127.0.0.1:0", AllowRoot: true,
		Log: slog.New(slog.DiscardHandler),
	}
	naviConfig(e)(&c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Run(ctx, c); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "--navi-prefix") {
		t.Errorf("a second installation: %v; want it refused", err)
	}
	c.NaviPrefix, c.Advertise = "/second_rpc", "192.0.2.1" // TEST-NET-1, nobody's
	if err := server.Run(ctx, c); abt2.CodeOf(err) != abt2.CodeInvalid || !strings.Contains(err.Error(), `--advertise "192.0.2.1"`) {
		t.Errorf("an address that is not this machine's: %v; want it refused", err)
	}
	c.Advertise = ""
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	c.Ready = func(server.Addresses) { cancel() }
	if err := server.Run(ctx, c); err != nil {
		t.Errorf("below a prefix of its own: %v", err)
	}
}
