package drivertest

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
)

// EdgeFixture is a gateway under test.
type EdgeFixture struct {
	Edge abt2.Edge
	// Address is where it serves users: host:port, HTTP/1.1 and, with prior
	// knowledge, HTTP/2 without TLS.
	Address string
	// Crash ends the gateway as a crash would and starts it again at the same
	// address. It returns when the gateway accepts connections. Nil: not tested.
	Crash func(t *testing.T)
	// Upgrade replaces the gateway's process under load, by one of the same
	// program, and returns when the new one serves. Nil: not tested.
	Upgrade func(t *testing.T)
	// Disconnect cuts the gateway off from whoever knows about tokens, until the
	// test ends, and returns when the gateway has noticed. Nil: not tested.
	Disconnect func(t *testing.T)
	// Drift makes environment 2 the default product's online one behind the
	// driver's back, as a hand at the gateway would. Nil: not tested.
	Drift func(t *testing.T)
	// KeepsTrailers says that the gateway passes on the trailers of a request.
	// They must not become headers all the same.
	KeepsTrailers bool
	// HTTP2Address is where it speaks HTTP/2, over TLS as HTTP2TLS says, if it
	// does not without TLS at Address.
	HTTP2Address string
	HTTP2TLS     *tls.Config
	// AnswersAny500 says that what the gateway answers itself has status 500 and
	// no reason, where others tell apart 404 and 503.
	AnswersAny500 bool
	// TakesFirstToken says that of several tokens the first counts and that one
	// which is none is unknown, where others answer 400.
	TakesFirstToken bool
	// RewritesCookies says that cookies beside ours keep their names and values,
	// but not the way they are written.
	RewritesCookies bool
	// DropsBaggage says that nothing of a request's baggage is passed on.
	DropsBaggage bool
	// NoWebSockets says that connections which ask for WebSockets are closed.
	NoWebSockets bool
	// PassesMisdirected says that the refusal of an instance to which a request
	// was sent by mistake, 421, is answered as it is.
	PassesMisdirected bool
	// RepeatsNothing says that a request which an instance has received, and not
	// answered, is not sent again, or that this is not promised of every method.
	RepeatsNothing bool
	// KeepsToInstance says that a request which an instance refuses as someone
	// else's is answered 503, not tried elsewhere.
	KeepsToInstance bool
}

// Edge is what every abt2.Edge promises, and of an abt2.Abler what it says it
// can do. The factory returns a fresh gateway
// that serves nothing yet, and ends it when its test does.
func Edge(t *testing.T, factory func(t *testing.T) EdgeFixture) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, g *gateway)
	}{
		{"ServesNothingAtFirst", edgeServesNothingAtFirst},
		{"ReadsWhatIsServed", edgeReadsWhatIsServed},
		{"RefusesOlderRoutes", edgeRefusesOlderRoutes},
		{"RoutesByHost", edgeRoutesByHost},
		{"RoutesByLongestPrefix", edgeRoutesByLongestPrefix},
		{"SelectsByToken", edgeSelectsByToken},
		{"ServesUnknownTokensOnline", edgeServesUnknownTokensOnline},
		{"KeepsTokensToTheirProduct", edgeKeepsTokensToTheirProduct},
		{"RefusesAmbiguousTokens", edgeRefusesAmbiguousTokens},
		{"RefusesUnknownTokensWithoutServer", edgeRefusesUnknownTokensWithoutServer},
		{"Stamps", edgeStamps},
		{"AloneSaysWhatWasServed", edgeSaysItself},
		{"KeepsForeignCookiesAndBaggage", edgeKeepsForeign},
		{"StripsForgedStamps", edgeStripsForged},
		{"StripsForgedTrailers", edgeStripsTrailers},
		{"StripsForgedUpgrades", edgeStripsUpgrades},
		{"TriesAnotherInstance", edgeTriesAnotherInstance},
		{"RepeatsWhatNobodyAnswered", edgeRepeatsUnanswered},
		{"RefusesWithoutInstances", edgeRefusesWithoutInstances},
		{"FallsBackWhereAllowed", edgeFallsBack},
		{"FlipsWholly", edgeFlipsWholly},
		{"FlipsKeptConnections", edgeFlipsKeptConnections},
		{"PassesLargeBodies", edgePassesLargeBodies},
		{"FinishesSlowBodiesWhereTheyBegan", edgeFinishesSlowBodies},
		{"FinishesWhereItsTokenLed", edgeFinishesWhereItsTokenLed},
		{"FinishesEventsWhereTheyBegan", edgeFinishesEvents},
		{"FinishesWebSocketsWhereTheyBegan", edgeFinishesWebSockets},
		{"FinishesStreamsWhereTheyBegan", edgeFinishesStreams},
		{"FlipsConnectionsOfBefore", edgeFlipsConnectionsOfBefore},
		{"KeepsServingWhenItRefuses", edgeKeepsServing},
		{"ShowsAndMendsDrift", edgeMendsDrift},
		{"ComesBackAfterACrash", edgeComesBack},
		{"LosesNothingWhenUpgraded", edgeUpgrades},
		{"SendsAShareOfVisitors", edgeSendsAShare},
		{"KeepsAShareToItsProduct", edgeKeepsAShareToItsProduct},
		{"PutsTokensBeforeShares", edgePutsTokensBeforeShares},
		{"RemembersSharesAfterACrash", edgeRemembersShares},
		{"KeepsPagesTogether", edgeKeepsPagesTogether},
		{"RefusesForgedPages", edgeRefusesForgedPages},
		{"LetsPagesExpire", edgeLetsPagesExpire},
		{"KeepsCachesFromMixing", edgeKeepsCachesFromMixing},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newGateway(t, factory(t))) })
	}
}

func edgeServesNothingAtFirst(t *testing.T, g *gateway) {
	got, err := g.Edge.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(abt2.EdgeRoutes{}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Read before the first Apply (-want +got):\n%s", diff)
	}
	if res := g.get(t, "/", nil); res.status != g.refusal(http.StatusServiceUnavailable) {
		t.Errorf("status %d before the first Apply, want %d", res.status, g.refusal(http.StatusServiceUnavailable))
	}
	g.apply(t, func(tb *abt2.Table) { // the empty environment of a fresh product
		tb.Products = tb.Products[:1]
		tb.Products[0].Online = 1
		tb.Products[0].Preview, tb.Products[0].Backup = 0, 0
		tb.Environments = []abt2.TableEnvironment{{ID: 1, Product: abt2.DefaultProduct, WasOnline: true}}
		tb.Versions = nil
	}, nil)
	res := g.get(t, "/", nil)
	if res.status != g.refusal(http.StatusServiceUnavailable) || !g.AnswersAny500 && !strings.Contains(strings.ToLower(res.body), "nothing online yet") {
		t.Errorf("empty environment: status %d, %q; want 503 and nothing online yet", res.status, res.body)
	}
}

func edgeReadsWhatIsServed(t *testing.T, g *gateway) {
	for range 2 { // the same again succeeds
		want := g.routes(nil)
		if err := g.Edge.Apply(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := g.Edge.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("Read after Apply (-applied +read):\n%s", diff)
		}
	}
}

func edgeRefusesOlderRoutes(t *testing.T, g *gateway) {
	older := g.routes(nil)
	g.apply(t, nil, nil)
	if err := g.Edge.Apply(t.Context(), older); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("older routes: error %v, want %s", err, abt2.CodeRefused)
	}
	got, err := g.Edge.Read(t.Context())
	if err != nil || got.Table.Mark.Revision != g.revision {
		t.Errorf("after refusing: revision %d, error %v; want %d", got.Table.Mark.Revision, err, g.revision)
	}
	// Another epoch cannot be compared: what is there is discarded.
	g.epoch, g.revision = "e2", 0
	g.apply(t, nil, nil)
	if got, err := g.Edge.Read(t.Context()); err != nil || got.Table.Mark != (abt2.Mark{Epoch: "e2", Revision: 1}) {
		t.Errorf("after another epoch: mark %v, error %v", got.Table.Mark, err)
	}
}

func edgeRoutesByHost(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	for host, env := range map[string]string{
		"":                       "1", // the gateway's own address
		"unheard.of":             "1",
		"blog.example":           "5",
		"BLOG.example":           "5",
		"blog.example:8443":      "5",
		"www.blog.example":       "5",
		"blog.example.evil.test": "1",
	} {
		res := g.do(t, request{path: "/", host: host})
		if res.seen.env() != env {
			t.Errorf("host %q: environment %q, want %s (status %d)", host, res.seen.env(), env, res.status)
		}
		if host != "" && res.seen.Host != host {
			t.Errorf("host %q arrived as %q", host, res.seen.Host)
		}
	}
}

func edgeRoutesByLongestPrefix(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	for path, module := range map[string]string{
		"/":                       "web@1",
		"/apix":                   "web@1",
		"/api":                    "api@1",
		"/api/":                   "api@1",
		"/api/v2":                 "api@1",
		"/api/orders/7":           "orders@1",
		"/api/ordersx":            "api@1",
		"/api/orders?a=1;b=2&c=%": "orders@1",
		"/api/a%2Fb%20c":          "api@1",
	} {
		res := g.get(t, path, nil)
		if res.seen.Version != module || res.seen.URI != path {
			t.Errorf("%s: arrived as %s at %q, want the same at %s", path, res.seen.URI, res.seen.Version, module)
		}
	}
	g.apply(t, func(tb *abt2.Table) { tb.Products[0].Online = 4 }, nil) // environment 4 has api only
	if res := g.get(t, "/", nil); res.status != g.refusal(http.StatusNotFound) {
		t.Errorf("no prefix matches: status %d, want %d", res.status, g.refusal(http.StatusNotFound))
	}
	if res := g.get(t, "/api/orders", nil); res.seen.Version != "api@1" {
		t.Errorf("prefix of another environment was used: %q", res.seen.Version)
	}
}

func edgeSelectsByToken(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	check := func(what string, res answer, env, served string) {
		t.Helper()
		if res.seen.env() != env || res.header.Get("Abt2-Served") != served {
			t.Errorf("%s: environment %q, Abt2-Served %q; want %s, %q", what, res.seen.env(), res.header.Get("Abt2-Served"), env, served)
		}
		if got := res.header.Values("Cache-Control"); served != "" && cmp.Diff([]string{"private, no-store"}, got) != "" {
			t.Errorf("%s: Cache-Control %q", what, got)
		}
		for name := range res.seen.Header {
			if strings.EqualFold(name, "Abt2-Token") {
				t.Errorf("%s: the module saw %s", what, name)
			}
		}
		if c := res.seen.Header.Get("Cookie"); strings.Contains(c, "abt2=") {
			t.Errorf("%s: the module saw the cookie %q", what, c)
		}
	}
	preview, backup := string(tokenPreview), string(tokenBackup)
	check("no token", g.get(t, "/", nil), "1", "")
	check("cookie", g.get(t, "/", http.Header{"Cookie": {"abt2=" + preview}}), "2", "2 preview")
	check("cookie of many", g.get(t, "/", http.Header{"Cookie": {"a=1; abt2=" + preview + "; b=2"}}), "2", "2 preview")
	check("header", g.get(t, "/", http.Header{"Abt2-Token": {preview}}), "2", "2 preview")
	check("backup", g.get(t, "/", http.Header{"Abt2-Token": {backup}}), "3", "3 backup")
	check("http2", g.do(t, request{path: "/", http2: true, header: http.Header{"Cookie": {"abt2=" + preview}}}), "2", "2 preview")
	check("empty cookie", g.get(t, "/", http.Header{"Cookie": {"abt2="}}), "1", "")
	// The module's own answer does not decide what is said.
	res := g.get(t, "/?header=Abt2-Served:9+forged&header=Cache-Control:public", http.Header{"Abt2-Token": {preview}})
	check("contradicted", res, "2", "2 preview")
	g.apply(t, func(tb *abt2.Table) { tb.Products[0].Preview, tb.Products[0].Parked = 0, []abt2.EnvironmentID{2, 4} }, nil)
	check("its session is set aside", g.get(t, "/", http.Header{"Abt2-Token": {preview}}), "2", "2 preview")
	g.apply(t, nil, map[abt2.Token]abt2.EnvironmentID{}) // tokens go
	check("token gone", g.get(t, "/", http.Header{"Abt2-Token": {preview}}), "1", "1 online")
}

func edgeServesUnknownTokensOnline(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	for _, header := range []http.Header{{"Cookie": {"abt2=" + string(tokenUnknown)}}, {"Abt2-Token": {string(tokenUnknown)}}} {
		res := g.get(t, "/", header)
		if res.seen.env() != "1" || res.header.Get("Abt2-Served") != "1 online" || res.header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%v: environment %q, answer %v", header, res.seen.env(), res.header)
		}
		if c := res.header.Get("Set-Cookie"); c != "" {
			t.Errorf("%v: the cookie was touched: %s", header, c)
		}
	}
	// A token selects within its product only.
	res := g.do(t, request{path: "/", host: "blog.example", header: http.Header{"Abt2-Token": {string(tokenPreview)}}})
	if res.seen.env() != "5" || res.header.Get("Abt2-Served") != "5 online" {
		t.Errorf("token of another product: environment %q, Abt2-Served %q", res.seen.env(), res.header.Get("Abt2-Served"))
	}
}

func edgeRefusesUnknownTokensWithoutServer(t *testing.T, g *gateway) {
	if g.Disconnect == nil {
		t.Skip("the fixture cannot disconnect this gateway")
	}
	g.apply(t, nil, nil)
	g.Disconnect(t)
	res := g.get(t, "/", http.Header{"Cookie": {"abt2=" + string(tokenUnknown)}})
	if res.status != http.StatusServiceUnavailable || res.header.Get("Set-Cookie") != "" {
		t.Errorf("unknown token: status %d, Set-Cookie %q; want 503 and none", res.status, res.header.Get("Set-Cookie"))
	}
	if res := g.get(t, "/", http.Header{"Cookie": {"abt2=" + string(tokenPreview)}}); res.seen.env() != "2" {
		t.Errorf("known token: environment %q, want 2", res.seen.env())
	}
	if res := g.get(t, "/", nil); res.seen.env() != "1" {
		t.Errorf("no token: environment %q, want 1", res.seen.env())
	}
}

func edgeTriesAnotherInstance(t *testing.T, g *gateway) {
	g.apply(t, func(tb *abt2.Table) {
		web := version(tb, "web", 1)
		web.Instances = append([]abt2.TableInstance{{ID: "web-1-dead", Address: deadAddress(t)}}, web.Instances...)
		api := version(tb, "api", 1) // the address belongs to someone else now
		other := version(tb, "web", 2).Instances[0].Address
		api.Instances = append([]abt2.TableInstance{{ID: "api-1-moved", Address: other}}, api.Instances...)
	}, nil)
	for range 20 {
		if res := g.get(t, "/", nil); res.seen.Version != "web@1" {
			t.Fatalf("an instance that refuses connections: status %d from %q", res.status, res.seen.Version)
		}
		if res := g.do(t, request{method: "POST", path: "/", body: "sent once"}); res.seen.Version != "web@1" || res.seen.Body != "sent once" {
			t.Fatalf("the same with a body: status %d, body %q", res.status, res.seen.Body)
		}
		res := g.get(t, "/api", nil)
		if g.KeepsToInstance && res.status == http.StatusServiceUnavailable && res.header.Get("Retry-After") != "" {
			continue
		}
		if g.PassesMisdirected && res.status == http.StatusMisdirectedRequest {
			continue
		}
		if res.seen.Version != "api@1" {
			t.Fatalf("an instance that is someone else: status %d from %q", res.status, res.seen.Version)
		}
	}
}

// edgeRepeatsUnanswered: an instance that ends with a request at hand has not
// answered it. Once more does no harm where the request asks for no change.
func edgeRepeatsUnanswered(t *testing.T, g *gateway) {
	if g.RepeatsNothing {
		t.Skip("this gateway repeats no request")
	}
	ends, received := endingInstance(t)
	g.apply(t, func(tb *abt2.Table) {
		web := version(tb, "web", 1)
		web.Instances = append([]abt2.TableInstance{{ID: "web-1-ends", Address: ends}}, web.Instances...)
	}, nil)
	for range 20 {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if res := g.do(t, request{method: method, path: "/"}); res.status != http.StatusOK || res.header.Get("From") != "web@1" {
				t.Fatalf("%s at an instance that ends: status %d from %q", method, res.status, res.header.Get("From"))
			}
		}
	}
	if received.Load() == 0 {
		t.Error("no request was sent to the instance that ends")
	}
	before := received.Load()
	lost := 0
	for range 40 {
		// A gateway may close the connection, too: that says no more than 502.
		if res, err := g.try(t.Context(), request{method: http.MethodPost, path: "/", body: "once"}); err != nil || res.status != http.StatusOK {
			lost++
		}
	}
	if n := int(received.Load() - before); n == 0 || lost != n {
		t.Errorf("%d requests with a body were received by an instance that ends, and %d have failed; want all of them, sent once", n, lost)
	}
}

// endingInstance is an instance that reads every request and closes the
// connection. received counts them.
func endingInstance(t *testing.T) (address string, received *atomic.Int64) {
	t.Helper()
	received = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		received.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), received
}

func edgeRefusesWithoutInstances(t *testing.T, g *gateway) {
	g.apply(t, func(tb *abt2.Table) {
		version(tb, "web", 1).Instances = nil
		version(tb, "orders", 1).Instances = []abt2.TableInstance{{ID: "orders-1-dead", Address: deadAddress(t)}}
	}, nil)
	for _, path := range []string{"/", "/api/orders"} {
		res := g.get(t, path, nil)
		if res.status != g.refusal(http.StatusServiceUnavailable) || !g.AnswersAny500 && res.header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q; want 503 and a time", path, res.status, res.header.Get("Retry-After"))
		}
	}
}

func edgeFallsBack(t *testing.T, g *gateway) {
	token := http.Header{"Abt2-Token": {string(tokenPreview)}}
	down := func(fallback abt2.Fallback, wasOnline bool) {
		g.apply(t, func(tb *abt2.Table) {
			web := version(tb, "web", 2)
			web.Instances, web.Fallback = nil, fallback
			environment(tb, 2).WasOnline = wasOnline
		}, nil)
	}
	down(abt2.FallbackNone, false)
	refused := g.refusal(http.StatusServiceUnavailable)
	if res := g.get(t, "/", token); res.status != refused {
		t.Errorf("without fallback: status %d, want %d", res.status, refused)
	}
	down(abt2.FallbackOnline, true)
	if res := g.get(t, "/", token); res.status != refused {
		t.Errorf("to an environment that was online: status %d, want %d", res.status, refused)
	}
	down(abt2.FallbackOnline, false)
	res := g.get(t, "/", token)
	if served := res.header.Get("Abt2-Served"); res.seen.Version != "web@1" || res.seen.env() != "2" || !strings.HasPrefix(served, "2 preview") || !strings.Contains(served, "web@1") {
		t.Errorf("with fallback: %q in environment %q, Abt2-Served %q; want web@1 in 2, shown", res.seen.Version, res.seen.env(), served)
	}
}

func edgeComesBack(t *testing.T, g *gateway) {
	if g.Crash == nil {
		t.Skip("the fixture cannot crash this gateway")
	}
	g.apply(t, nil, nil)
	g.apply(t, func(tb *abt2.Table) { tb.Products[0].Online, tb.Products[0].Preview = 2, 0 }, nil)
	want, err := g.Edge.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.Crash(t)
	g.client.CloseIdleConnections()
	if res := g.get(t, "/", nil); res.seen.env() != "2" {
		t.Errorf("after a crash: environment %q, want 2 (status %d)", res.seen.env(), res.status)
	}
	got, err := g.Edge.Read(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("routes after a crash (-before +after):\n%s", diff)
	}
}
