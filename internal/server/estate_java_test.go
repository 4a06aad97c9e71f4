package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/server"
	"abt2.dev/lane/disconf/disconftest"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// TestMixedEstateInJava switches 40 times, or 10 with -short, while users come
// through an edge service in Java that has nothing of ours: it reads what is
// online by the disconf protocol, puts that into its Navi calls, and finds the
// version that belongs to it in ZooKeeper.
func TestMixedEstateInJava(t *testing.T) {
	switches := 40
	if testing.Short() {
		switches = 10
	}
	e := zktest.Start(t, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	centre := listener.Addr().String()
	_ = listener.Close()
	in := prepare(t)
	in.tune = func(c *server.Config) {
		naviConfig(e)(c)
		c.ZooKeeper.Session = zookeeper.DefaultSessionTimeout
		c.ConfigCentre, c.Disconf = server.CentreDisconf, server.Disconf{Listen: centre, Version: "1_0_0_0", Env: "online"}
	}
	in.start()
	in.create()
	in.put("order", "", 1, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 20s\nnavi: {interface: com.example.Order}\n", true)
	in.verb(abt2.VerbShip)
	in.verb(abt2.VerbCommit)
	in.verb(abt2.VerbClean)
	in.create()
	in.put("order", "", 2, "", false)
	in.verb(abt2.VerbShip)
	edge := disconftest.StartEdge(t, disconftest.Settings{Server: centre, App: "default", Version: "1_0_0_0", Env: "online"},
		disconftest.Callee{Module: "order", Namespace: "default", Interface: "com.example.Order"})

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	var mu sync.Mutex
	requests, by := 0, map[string]int{}
	var failed, mixed []string
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				hops, err := throughJava(client, edge)
				mu.Lock()
				requests++
				switch {
				case err != nil:
					failed = append(failed, err.Error())
				case hops.mixed():
					mixed = append(mixed, fmt.Sprint(hops))
				default:
					by[hops[0].answered]++
				}
				mu.Unlock()
			}
		})
	}
	for i := range switches {
		verb := abt2.VerbCommit
		if i%2 == 1 {
			verb = abt2.VerbRollback
		}
		if out := in.verb(verb); len(out.Unconfirmed) > 0 {
			t.Errorf("switch %d, %s: not confirmed by %v", i, verb, out.Unconfirmed)
		}
	}
	stop()
	group.Wait()
	t.Logf("%d switches; %d requests, %d failed, %d mixed; answered by %v", switches, requests, len(failed), len(mixed), by)
	if len(failed) > 0 || len(mixed) > 0 || len(by) != 2 {
		t.Errorf("failed: %v; mixed: %v; answered by %v, want both versions", failed[:min(3, len(failed))], mixed[:min(3, len(mixed))], by)
	}
	in.noDifference()
}

// javaHop is one call of the edge service: what it meant, and who has answered.
type javaHop struct{ environment, version, answered, within string }

type javaHops []javaHop

// mixed reports whether the calls of one request have met two environments or two
// releases, or others than were meant.
func (h javaHops) mixed() bool {
	for _, one := range h {
		if one != h[0] || one.version != one.answered || one.environment != one.within {
			return true
		}
	}
	return len(h) == 0
}

func throughJava(client *http.Client, edge string) (javaHops, error) {
	res, err := client.Get("http://" + edge + "/")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	if err != nil {
		return nil, err
	}
	var out javaHops
	for line := range strings.Lines(string(body)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("%q", line)
		}
		out = append(out, javaHop{f[0], f[1], f[2], f[3]})
	}
	return out, nil
}
