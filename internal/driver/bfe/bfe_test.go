package bfe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"abt2.dev/internal/driver/bfe"
	"abt2.dev/internal/driver/bfe/bfetest"
	"abt2.dev/internal/driver/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns the driver of a BFE, the real one or the stand-in, that runs
// until the test has ended, and what ends it as a crash would and starts it again.
func open(t testing.TB, cfg bfe.Config) (e *bfe.Edge, p *bfetest.Place, crash func()) {
	t.Helper()
	p = bfetest.Prepare(t)
	cfg.Dir = p.Dir
	e, err := bfe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Prepare(); err != nil {
		t.Fatal(err)
	}
	kill := p.Run(t)
	t.Cleanup(func() { kill() })
	return e, p, func() { kill(); kill = p.Run(t) }
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	routeFile   = "server_data_conf/route_rule.data"
	clusterFile = "server_data_conf/cluster_conf.data"
	gslbFile    = "cluster_conf/gslb.data"
	headerFile  = "mod_header/header_rule.data"
	noteFile    = "abt2.json"
)

// TestEdge runs the suite, as far as BFE has its abilities.
func TestEdge(t *testing.T) {
	drivertest.Edge(t, func(t *testing.T) drivertest.EdgeFixture {
		e, p, crash := open(t, bfe.Config{})
		return drivertest.EdgeFixture{
			Edge: e, Address: p.HTTP, HTTP2Address: p.HTTPS, HTTP2TLS: p.Trust,
			AnswersAny500: true, TakesFirstToken: true, RewritesCookies: true, DropsBaggage: true,
			NoWebSockets: true, PassesMisdirected: true, KeepsTrailers: true, RepeatsNothing: true,
			Crash: func(*testing.T) { crash() },
			Drift: func(t *testing.T) {
				p.Edit(t, routeFile, func(s string) string {
					return strings.NewReplacer(`"1.web"`, `"2.web"`, `"1.api"`, `"2.api"`, `"1.orders"`, `"2.orders"`).Replace(s)
				})
				if said := p.Reload(t, "server_data_conf"); said != `{"error":null}` {
					t.Fatal(said)
				}
			},
		}
	})
}
