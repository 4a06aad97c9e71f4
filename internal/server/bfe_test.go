package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/bfe/bfetest"
	"abt2.dev/internal/server"
)

// TestBFE releases to users who come to two instances of BFE.
func TestBFE(t *testing.T) {
	in := prepare(t)
	in.edgeKind = server.EdgeBFE
	places := []*bfetest.Place{bfetest.Prepare(t), bfetest.Prepare(t)}
	in.bfes = []string{places[0].Dir, places[1].Dir}
	in.start() // before them: it writes what they start with
	kills := []func(){places[0].Run(t), places[1].Run(t)}
	t.Cleanup(func() {
		for _, kill := range kills {
			kill()
		}
	})
	if in.edge != "http://"+places[0].HTTP {
		t.Errorf("users are told %s, the first BFE listens at %s", in.edge, places[0].HTTP)
	}
	res, err := http.Get(in.edge) // of the built-in edge behind
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("before the first release: status %d, want 503", res.StatusCode)
	}
	in.release()
	both := func(cookie, want string) {
		t.Helper()
		for _, p := range places {
			in.edge = "http://" + p.HTTP
			if got := in.page(cookie); !strings.Contains(got, want) {
				t.Errorf("the page at %s shows %s, want %s", p.HTTP, got, want)
			}
		}
		in.edge = "http://" + places[0].HTTP
	}
	both("", "order@1")
	in.noDifference()

	in.create()
	in.put("order", "", 2, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\n", false)
	preview := in.verb(abt2.VerbShip)
	both(preview.Cookie, "order@2")
	both("", "order@1")
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if res, err = once.Get(preview.Link); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if set := res.Header.Get("Set-Cookie"); !strings.HasPrefix(set, preview.Cookie) {
		t.Errorf("the link %s sets %q, want %q: status %d", preview.Link, set, preview.Cookie, res.StatusCode)
	}

	kills[1]() // nothing switches while one is away
	commit := abt2.VerbRequest{By: ann, Verb: abt2.VerbCommit, Product: abt2.DefaultProduct, Yes: true, AckTimeout: time.Second}
	if _, err := in.api.Run(t.Context(), commit, func(abt2.Progress) {}); err == nil || !strings.Contains(err.Error(), "bfe-2") {
		t.Errorf("commit without the second BFE: error %v, want one that names it", err)
	}
	kills[1] = places[1].Run(t)
	both("", "order@1")

	_ = in.stop() // users do not notice
	both("", "order@1")
	in.start()
	if out := in.verb(abt2.VerbCommit); out.Edges != 3 {
		t.Errorf("%d edges confirmed, want both and the one behind them", out.Edges)
	}
	both("", "order@2")
	in.noDifference()
	s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || len(s.Edges) != 2 || !strings.Contains(strings.Join(s.Limits, "\n"), "bfe-2: tokens are kept in clear") {
		t.Errorf("status: edges %v, limits %q, error %v; want both, and what they lack", s.Edges, s.Limits, err)
	}
	in.verb(abt2.VerbRollback)
	both("", "order@1")
	in.verb(abt2.VerbClean)
}
