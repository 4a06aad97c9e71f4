package server_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/server"
	"abt2.dev/lane/disconf/disconftest"
	"abt2.dev/lane/zookeeper/zktest"
)

// TestDisconf: disconf's own client, in a JVM, follows commit and rollback, and is
// waited for; one that does not follow is named.
func TestDisconf(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	testDisconf(t, zktest.StartPatient(t, 1), address, server.Disconf{Listen: address})
}

// TestDisconfWeb: the same with an existing disconf-web, from which the client
// fetches the values.
func TestDisconfWeb(t *testing.T) {
	ensemble := zktest.StartPatient(t, 1)
	web := disconftest.StartWeb(t, disconftest.WebSettings{
		ZooKeeper: ensemble.Connect(), Prefix: "/disconf", App: "default", Version: "1_0_0_0", Env: "online", User: "abt2", Password: "hunter2",
	})
	testDisconf(t, ensemble, web.Address, server.Disconf{WebURL: "http://" + web.Address, WebUser: "abt2", WebPassword: "hunter2"})
}

func testDisconf(t *testing.T, ensemble *zktest.Ensemble, address string, settings server.Disconf) {
	settings.Version, settings.Env = "1_0_0_0", "online"
	in := prepare(t)
	in.tune = func(c *server.Config) {
		c.ConfigCentre, c.ZooKeeper.Addresses, c.Disconf = server.CentreDisconf, ensemble.Addresses(), settings
	}
	in.start()
	in.release()
	in.noDifference()
	s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil {
		t.Fatal(err)
	}
	first := s.Online.ID
	client := disconftest.Start(t, disconftest.Settings{Server: address, App: "default", Version: "1_0_0_0", Env: "online", Host: "10.0.0.1"}, "item/abt2.online")
	has := func(e abt2.EnvironmentID, order int) {
		t.Helper()
		client.Says(fmt.Sprintf(`item/abt2.online=%d {"order":"order@%d","web":"web@1"}`, e, order))
	}
	has(first, 1)
	client.Says("ready")

	in.create()
	in.put("order", "", 2, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\n", false)
	in.verb(abt2.VerbShip)
	out := in.verb(abt2.VerbCommit)
	has(out.To, 2)
	in.noDifference()
	in.verb(abt2.VerbRollback)
	has(first, 1)

	client.Pause()
	late, err := in.api.Run(t.Context(), abt2.VerbRequest{By: ann, Verb: abt2.VerbCommit, Product: abt2.DefaultProduct, Yes: true, AckTimeout: 2 * time.Second}, func(abt2.Progress) {})
	if err != nil || !slices.ContainsFunc(late.Unconfirmed, func(who string) bool { return strings.HasPrefix(who, "config centre") }) {
		t.Errorf("a client does not follow: unconfirmed %v, %v", late.Unconfirmed, err)
	}
	d, err := in.api.Validate(t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct, ConfigCentre: true})
	if err != nil || len(d) != 1 || d[0].Part != "config-centre" || !strings.Contains(d[0].Object, "/10.0.0.1_") || d[0].Is != fmt.Sprint(first) {
		t.Errorf("validate: %+v, %v", d, err)
	}
	client.Resume()
	in.verb(abt2.VerbRefresh)
	has(late.To, 2)
	in.noDifference()
}
