package drivertest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

// need skips what the gateway does not say it can do. It is called after the
// first Apply: before, a gateway may not have said anything.
func (g *gateway) need(t *testing.T, a abt2.Ability) {
	t.Helper()
	g.apply(t, nil, nil)
	if able, ok := g.Edge.(abt2.Abler); !ok || !slices.Contains(able.Abilities(), a) {
		t.Skipf("the gateway does not say that it has the ability %q", a)
	}
}

// Fetch Metadata of a browser: a page, a script of a page, and a frame in one.
func navigation() http.Header {
	return http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html,*/*;q=0.8"}}
}

func script() http.Header {
	return http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"script"}, "Accept": {"*/*"}}
}

func frame() http.Header {
	return http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Accept": {"text/html,*/*;q=0.8"}}
}

// with adds cookies to a header.
func with(h http.Header, cookies ...string) http.Header {
	h["Cookie"] = []string{strings.Join(cookies, "; ")}
	return h
}

// given returns the cookie of that name that an answer sets, as name=value;
// empty: it sets none.
func (a answer) given(t *testing.T, name string) string {
	t.Helper()
	out := ""
	for _, line := range a.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatalf("Set-Cookie %q: %v", line, err)
		}
		if c.Name != name {
			continue
		}
		if out != "" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
			t.Errorf("Set-Cookie %q: want it once, for every path, HttpOnly, SameSite=Lax", line)
		}
		out = c.Name + "=" + c.Value
	}
	return out
}

// checkNoCookies fails where a module has seen a cookie of ours.
func checkNoCookies(t *testing.T, a answer) {
	t.Helper()
	if c := a.seen.Header.Get("Cookie"); strings.Contains(c, "abt2") {
		t.Errorf("a module saw the cookie %q", c)
	}
}

// share applies routes by which a share of the default product's visitors goes
// to environment 2.
func (g *gateway) share(t *testing.T, s abt2.Share) {
	t.Helper()
	r := g.routes(func(tb *abt2.Table) { environment(tb, 2).WasOnline = true })
	r.Shares = map[abt2.ProductName]abt2.VisitorShare{abt2.DefaultProduct: {Environment: 2, Share: s, Salt: "7"}}
	g.applyRoutes(t, r)
}

const visitors = 200

// visit makes new visitors, who load a page, and returns where each one is.
func (g *gateway) visit(t *testing.T) (envs map[string]string) {
	t.Helper()
	envs = map[string]string{}
	for range visitors {
		res := g.get(t, "/", navigation())
		cookie := res.given(t, abt2.VisitorCookie)
		if cookie == "" || envs[cookie] != "" {
			t.Fatalf("a new visitor was given the cookie %q; want one of its own", cookie)
		}
		envs[cookie] = res.seen.env()
		if served := res.header.Get("Abt2-Served"); served != "" {
			t.Errorf("Abt2-Served %q without a token", served)
		}
		checkNoCookies(t, res)
	}
	return envs
}

func edgeSendsAShare(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilityShare)
	before := abt2.VisitorShare{Share: 20_00, Salt: "7"}
	g.share(t, before.Share)
	envs := g.visit(t)
	in := 0
	for cookie, env := range envs {
		_, value, _ := strings.Cut(cookie, "=")
		want := "1"
		if before.Takes(value) {
			want = "2"
			in++
		}
		if env != want {
			t.Errorf("%s: environment %s, want %s by the documented hash", cookie, env, want)
		}
		for _, header := range []http.Header{with(script(), cookie), with(navigation(), "a=1", cookie), {"Cookie": {cookie}}} {
			res := g.get(t, "/api", header)
			if res.seen.env() != env || res.given(t, abt2.VisitorCookie) != "" {
				t.Fatalf("%s flipped from environment %s to %s, or was given another cookie: %v", cookie, env, res.seen.env(), res.header)
			}
			checkNoCookies(t, res)
		}
	}
	// By chance: fewer than 10 or more than 70 of 200, at 20%, in less than one of 10^6 runs.
	if in < 10 || in > 70 {
		t.Errorf("%d of %d visitors are in a share of %s", in, visitors, before.Share)
	}
	g.share(t, 60_00)
	more := 0
	for cookie, env := range envs {
		got := g.get(t, "/", with(navigation(), cookie)).seen.env()
		if env == "2" && got != "2" {
			t.Errorf("%s was in 20%% and is not in 60%%", cookie)
		}
		if env == "1" && got == "2" {
			more++
		}
	}
	if more == 0 {
		t.Error("nobody came in when the share grew")
	}
	// Who keeps no cookies and loads no page would be somewhere else each time.
	for _, header := range []http.Header{script(), frame(), {}, {"Accept": {"*/*"}}} {
		for range 20 {
			if res := g.get(t, "/", header); res.seen.env() != "1" || res.given(t, abt2.VisitorCookie) != "" {
				t.Fatalf("%v without a cookie: environment %s, %v; want 1 and no cookie", header, res.seen.env(), res.header)
			}
		}
	}
	if res := g.get(t, "/", http.Header{"Accept": {"text/html"}}); res.given(t, abt2.VisitorCookie) == "" {
		t.Error("a browser without Fetch Metadata, as over plain HTTP, was given no cookie")
	}
	if res := g.get(t, "/", with(navigation(), abt2.VisitorCookie+"=a%20b")); res.given(t, abt2.VisitorCookie) == "" {
		t.Error("who brings a cookie that is none of ours was given no other")
	}
	g.flip(t, 2) // the share is over: everybody is there
	for cookie := range envs {
		if res := g.get(t, "/", with(navigation(), cookie)); res.seen.env() != "2" || len(res.header["Set-Cookie"]) != 0 {
			t.Fatalf("after the switch: environment %s, %v; want 2 and no cookie", res.seen.env(), res.header)
		}
	}
	g.flip(t, 1) // or nobody is
	for cookie := range envs {
		if res := g.get(t, "/", with(navigation(), cookie)); res.seen.env() != "1" {
			t.Fatalf("after the end of the share: environment %s, want 1", res.seen.env())
		}
	}
}

func edgeKeepsAShareToItsProduct(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilityShare)
	g.share(t, abt2.AllVisitors-1)
	for range 20 {
		res := g.do(t, request{path: "/", host: "blog.example", header: navigation()})
		if res.seen.env() != "5" || len(res.header["Set-Cookie"]) != 0 || res.header.Get("Vary") != "" {
			t.Fatalf("another product: environment %s, %v; want 5, untouched", res.seen.env(), res.header)
		}
	}
}

func edgePutsTokensBeforeShares(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilityShare)
	g.share(t, abt2.AllVisitors-1)
	for token, want := range map[abt2.Token]string{tokenBackup: "3", tokenUnknown: "1"} {
		for range 20 {
			res := g.get(t, "/", with(navigation(), "abt2="+string(token), abt2.VisitorCookie+"=somebody"))
			if res.seen.env() != want || res.given(t, abt2.VisitorCookie) != "" {
				t.Fatalf("token %s: environment %s, %v; want %s and no cookie", token, res.seen.env(), res.header, want)
			}
			checkNoCookies(t, res)
		}
	}
}

func edgeRemembersShares(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilityShare)
	if g.Crash == nil {
		t.Skip("the fixture cannot crash this gateway")
	}
	g.share(t, 50_00)
	envs := g.visit(t)
	g.Crash(t)
	g.client.CloseIdleConnections()
	for cookie, env := range envs {
		if got := g.get(t, "/", with(navigation(), cookie)).seen.env(); got != env {
			t.Fatalf("%s flipped from environment %s to %s", cookie, env, got)
		}
	}
}

var skewKeys = [...]abt2.SkewKey{
	[]byte("0123456789abcdef0123456789abcdef"), []byte("another key of 32 bytes, no more"),
}

// skew applies routes with skew protection, edited.
func (g *gateway) skew(t *testing.T, keep time.Duration, key abt2.SkewKey, edit func(*abt2.Table)) {
	t.Helper()
	r := g.routes(edit)
	skew := abt2.Skew{Keep: abt2.Duration(keep), Key: key}
	r.Skew = map[abt2.ProductName]abt2.Skew{abt2.DefaultProduct: skew, "journal": skew}
	for digest, id := range r.Tokens {
		if environment(&r.Table, id) == nil {
			delete(r.Tokens, digest)
		}
	}
	g.applyRoutes(t, r)
}

// The default product as sessions leave it.
func online(env, preview, backup abt2.EnvironmentID) func(*abt2.Table) {
	return func(tb *abt2.Table) {
		p := &tb.Products[0]
		p.Online, p.Preview, p.Backup = env, preview, backup
	}
}

const htmlPage = "/?header=Content-Type:text/html%3Bcharset=utf-8"

// page loads a page and returns the cookie that came with it.
func (g *gateway) page(t *testing.T, env string, cookies ...string) string {
	t.Helper()
	res := g.get(t, htmlPage, with(navigation(), cookies...))
	cookie := res.given(t, abt2.PageCookie)
	if res.seen.env() != env || cookie == "" {
		t.Fatalf("a page: environment %s, cookie %q; want %s and one", res.seen.env(), cookie, env)
	}
	return cookie
}

func edgeKeepsPagesTogether(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilitySkew)
	g.skew(t, time.Minute, skewKeys[0], online(1, 2, 0))
	for path, header := range map[string]http.Header{
		"/?header=Content-Type:application/json":               navigation(), // a download
		"/?header=Content-Type:text/htmlx":                     navigation(),
		"/api?header=Content-Type:text/html":                   script(), // a piece of a page
		"/api/x?header=Content-Type:text/html%3Bcharset=utf-8": frame(),
		"/api/orders?header=Content-Type:text/javascript":      script(),
	} {
		if res := g.get(t, path, header); res.given(t, abt2.PageCookie) != "" {
			t.Errorf("%s, %v: a cookie came with what is no page", path, header)
		}
	}
	first := g.page(t, "1")

	g.skew(t, time.Minute, skewKeys[0], online(2, 0, 1)) // commit
	check := func(what string, header http.Header, want string) {
		t.Helper()
		for _, http2 := range []bool{false, true} {
			res := g.do(t, request{path: "/api", http2: http2, header: header})
			if res.seen.env() != want {
				t.Errorf("%s, http2 %t: environment %s, want %s", what, http2, res.seen.env(), want)
			}
			checkNoCookies(t, res)
		}
	}
	check("a script of the page", with(script(), first), "1")
	check("a call of the page over plain HTTP", http.Header{"Cookie": {"a=1; " + first + "; b=2"}, "Accept": {"application/json"}}, "1")
	check("a frame of the page", with(frame(), first), "1")
	check("the next page", with(navigation(), first), "2")
	check("the next page over plain HTTP", http.Header{"Cookie": {first}, "Accept": {"text/html"}}, "2")
	check("a script of nobody's page", script(), "2")
	check("a token", with(script(), first, "abt2="+string(tokenBackup)), "3")
	check("an unknown token", with(script(), first, "abt2="+string(tokenUnknown)), "2")
	second := g.page(t, "2", first)
	check("a script of the next page", with(script(), second), "2")

	g.skew(t, time.Minute, skewKeys[0], online(2, 0, 0)) // clean: the environment still drains
	check("a script of a page that was cleaned away", with(script(), first), "2")
	g.skew(t, time.Minute, skewKeys[0], func(tb *abt2.Table) {
		online(2, 0, 0)(tb)
		tb.Environments = tb.Environments[1:]
	})
	check("a script of a page whose environment is gone", with(script(), first), "2")
	g.skew(t, time.Minute, skewKeys[0], online(1, 2, 0)) // rollback
	check("a script of a page that was rolled back", with(script(), second), "1")
	g.skew(t, time.Minute, skewKeys[0], online(2, 0, 1))
	check("a script of the page, warm again", with(script(), first), "1")
	g.flip(t, 2) // without skew protection
	check("a script of the page, unprotected", with(script(), first), "2")
	if res := g.get(t, htmlPage, navigation()); len(res.header["Set-Cookie"]) != 0 {
		t.Errorf("a page without skew protection: %v", res.header)
	}
}

func edgeRefusesForgedPages(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilitySkew)
	g.skew(t, time.Minute, skewKeys[0], online(1, 2, 0))
	good := g.page(t, "1")
	g.skew(t, time.Minute, skewKeys[0], func(tb *abt2.Table) {
		online(2, 0, 1)(tb)
		tb.Products[1].Backup = 4
		environment(tb, 4).Product = "journal"
	})
	forged := map[string]string{
		"nothing": abt2.PageCookie + "=", "a number": abt2.PageCookie + "=1", "no signature": good[:strings.LastIndexByte(good, '.')+1],
		"long": good + strings.Repeat("A", 4096), "twice": good + good[len(abt2.PageCookie)+1:],
		"unprintable": good + "\x80", "another case": strings.Replace(good, "abt2", "ABT2", 1),
	}
	for i := len(abt2.PageCookie) + 1; i < len(good); i++ { // every byte counts
		b := []byte(good)
		b[i] = map[bool]byte{true: '1', false: '2'}[b[i] == '2']
		forged[fmt.Sprintf("byte %d", i)] = string(b)
	}
	for what, cookie := range forged {
		if s, err := g.tryRaw("GET /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nSec-Fetch-Mode: cors\r\nCookie: a=1; " + cookie + "\r\n\r\n"); err != nil || s.env() != "2" {
			t.Errorf("%s: environment %s, error %v; want 2", what, s.env(), err)
		}
	}
	if res := g.get(t, "/api", with(script(), good)); res.seen.env() != "1" {
		t.Errorf("the cookie itself: environment %s, want 1", res.seen.env())
	}
	if res := g.do(t, request{path: "/", host: "blog.example", header: with(script(), good)}); res.seen.env() != "5" {
		t.Errorf("a cookie of another product with the same key: environment %s, want 5", res.seen.env())
	}
	g.skew(t, time.Minute, skewKeys[1], online(2, 0, 1))
	if res := g.get(t, "/api", with(script(), good)); res.seen.env() != "2" {
		t.Errorf("a cookie of another key: environment %s, want 2", res.seen.env())
	}
	g.epoch, g.revision = "e2", 0
	g.skew(t, time.Minute, skewKeys[0], online(2, 0, 1))
	if res := g.get(t, "/api", with(script(), good)); res.seen.env() != "2" {
		t.Errorf("a cookie of another epoch, where environment 1 is another: environment %s, want 2", res.seen.env())
	}
}

func edgeLetsPagesExpire(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilitySkew)
	g.skew(t, 10*time.Minute, skewKeys[0], online(1, 2, 0))
	long := g.page(t, "1")
	g.skew(t, 2*time.Second, skewKeys[0], online(1, 2, 0))
	short := g.page(t, "1")
	g.skew(t, 2*time.Second, skewKeys[0], online(2, 0, 1))
	if res := g.get(t, "/api", with(script(), long)); res.seen.env() != "2" {
		t.Errorf("a cookie that would last longer than pages are kept: environment %s, want 2", res.seen.env())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		a, err := g.try(ctx, request{path: "/api", header: with(script(), short)})
		if err != nil {
			t.Fatalf("it does not expire: %v", err)
		}
		if a.seen.env() == "2" {
			return
		}
	}
}

// edgeKeepsCachesFromMixing: what a shared cache may keep is the same for all
// whom it would give it to.
func edgeKeepsCachesFromMixing(t *testing.T, g *gateway) {
	g.need(t, abt2.AbilitySkew)
	g.skew(t, time.Minute, skewKeys[0], online(1, 2, 0))
	first := g.page(t, "1")
	g.skew(t, time.Minute, skewKeys[0], online(2, 0, 1))
	for _, c := range []struct {
		what, path string
		header     http.Header
		public     bool
		vary       bool
	}{
		{"a page", htmlPage + "&header=Cache-Control:public,max-age%3D60", navigation(), false, true},
		{"a page that never changes", htmlPage + "&header=Cache-Control:public,immutable", navigation(), false, true},
		{"what is online", "/api?header=Cache-Control:public,max-age%3D60", script(), true, true},
		{"what a page came from", "/api?header=Cache-Control:public,max-age%3D60", with(script(), first), false, true},
		{"what never changes", "/api?header=Cache-Control:public,max-age%3D60,immutable", with(script(), first), true, false},
	} {
		res := g.get(t, c.path, c.header)
		cache, vary := strings.Join(res.header["Cache-Control"], ","), strings.Join(res.header["Vary"], ",")
		if public := strings.Contains(cache, "public"); public != c.public || strings.Contains(cache, "private") == public {
			t.Errorf("%s: Cache-Control %q", c.what, cache)
		}
		if strings.Contains(vary, "Cookie") != c.vary {
			t.Errorf("%s: Vary %q", c.what, vary)
		}
	}
}
