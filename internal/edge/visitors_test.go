package edge

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

var skewKey = abt2.SkewKey("0123456789abcdef0123456789abcdef")

// withVisitors adds skew protection and a share of half of the visitors to routes.
func withVisitors(r *feedpb.EdgeRoutes) *feedpb.EdgeRoutes {
	r.Visitors = &feedpb.Visitors{
		Shares: map[string]*feedpb.Visitors_Share{"default": {Environment: 2, Parts: 50_00, Salt: "7"}},
		Skew:   map[string]*feedpb.Visitors_Skew{"default": {KeepMs: 60_000, Key: skewKey}},
	}
	return r
}

func TestRoutesWithWrongVisitorsAreRefused(t *testing.T) {
	for what, edit := range map[string]func(*feedpb.Visitors){
		"environment":  func(v *feedpb.Visitors) { v.Shares["default"].Environment = 9 },
		"product":      func(v *feedpb.Visitors) { v.Shares["other"] = v.Shares["default"] },
		"no share":     func(v *feedpb.Visitors) { v.Shares["default"].Parts = 0 },
		"all visitors": func(v *feedpb.Visitors) { v.Shares["default"].Parts = 100_00 },
		"key":          func(v *feedpb.Visitors) { v.Skew["default"].Key = skewKey[:16] },
		"time":         func(v *feedpb.Visitors) { v.Skew["default"].KeepMs = 0 },
	} {
		e := newTestEdge(t, nil)
		e.mustApply(t, routesTo(1))
		r := withVisitors(routesTo(2))
		edit(r.Visitors)
		if err := e.apply(r); err == nil || e.routes.Load().Mark().Revision != 1 {
			t.Errorf("%s: error %v, revision %d; want it refused", what, err, e.routes.Load().Mark().Revision)
		}
	}
}

func TestAsksForPage(t *testing.T) {
	for _, c := range []struct {
		mode, dest, accept string
		want               bool
	}{
		{"navigate", "document", "text/html", true},
		{"navigate", "", "text/html", true},
		{"navigate", "iframe", "text/html", false},
		{"navigate", "object", "*/*", false},
		{"no-cors", "script", "*/*", false},
		{"cors", "empty", "text/html", false}, // a call for a piece of a page
		{"websocket", "websocket", "", false},
		{"", "", "text/html,application/xhtml+xml,*/*;q=0.8", true},
		{"", "", "*/*", false},
		{"", "", "", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for name, v := range map[string]string{"Sec-Fetch-Mode": c.mode, "Sec-Fetch-Dest": c.dest, "Accept": c.accept} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		if got := asksForPage(r); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

func TestMakePrivate(t *testing.T) {
	for cacheControl, want := range map[string]string{
		"":                                   "private",
		"public, max-age=60, S-MaxAge=600":   "private, max-age=60",
		`no-cache="Set-Cookie, X", public`:   `private, no-cache="Set-Cookie, X"`,
		"private, no-store":                  "private, no-store",
		`private="X", must-revalidate,, ,`:   "private, must-revalidate",
		`community="public", stale-if-error`: `private, community="public", stale-if-error`,
	} {
		h := http.Header{"Cdn-Cache-Control": {"max-age=9"}, "Surrogate-Control": {"max-age=9"}}
		if cacheControl != "" {
			h["Cache-Control"] = []string{cacheControl}
		}
		makePrivate(h, directives(h["Cache-Control"]))
		if got := h["Cache-Control"]; len(h) != 1 || !slices.Equal(got, []string{want}) {
			t.Errorf("%q became %q, want %q", cacheControl, h, want)
		}
	}
}

func TestAddVary(t *testing.T) {
	for vary, want := range map[string]string{
		"": "Cookie", "Accept-Encoding": "Accept-Encoding|Cookie", "Origin, cookie": "Origin, cookie", "*": "*",
	} {
		h := http.Header{}
		if vary != "" {
			h.Set("Vary", vary)
		}
		addVary(h, "Cookie")
		if got := strings.Join(h["Vary"], "|"); got != want {
			t.Errorf("%q became %q, want %q", vary, got, want)
		}
	}
}

// A visitor's browser keeps the cookies to itself, and to TLS where users come by it.
func TestVisitorCookiesAreSecure(t *testing.T) {
	for url, secure := range map[string]bool{"https://shop.example": true, "http://shop.example": false} {
		e := newTestEdge(t, func(c *Config) { c.PublicURL = url })
		e.mustApply(t, withVisitors(routesTo(1, module(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/HTML; charset=utf-8")
		}))))
		res, _ := e.get(t, "/", http.Header{"Sec-Fetch-Mode": {"navigate"}})
		ages := map[string]int{}
		for _, c := range res.Cookies() {
			ages[c.Name] = c.MaxAge
			if c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s: %s", url, c)
			}
		}
		if len(ages) != 2 || ages[abt2.PageCookie] != 60 || ages[abt2.VisitorCookie] != visitorAge {
			t.Errorf("%s: cookies %v", url, res.Cookies())
		}
	}
}

// The page that tells where one is knows the share, and sets nothing.
func TestHereKnowsTheShare(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, withVisitors(routesTo(1)))
	share := abt2.VisitorShare{Share: 50_00, Salt: "7"}
	for i := range 20 {
		visitor := fmt.Sprint("visitor-", i)
		want := "Environment 1 "
		if share.Takes(visitor) {
			want = "Environment 2 "
		}
		res, body := e.get(t, "/.abt2", http.Header{"Accept": {"text/html"}, "Cookie": {abt2.VisitorCookie + "=" + visitor}})
		if !strings.Contains(body, want) || len(res.Cookies()) != 0 {
			t.Errorf("%s: want %s and no cookies in %v %s", visitor, want, res.Cookies(), body)
		}
	}
	for range 20 {
		if _, body := e.get(t, "/.abt2", http.Header{"Accept": {"text/html"}}); !strings.Contains(body, "Environment 1 ") {
			t.Fatalf("who is no visitor yet: %s", body)
		}
	}
}

func FuzzVisitorCookies(f *testing.F) {
	skew := abt2.Skew{Keep: abt2.Duration(time.Minute), Key: skewKey}
	now := time.Unix(1_795_000_000, 0)
	for _, s := range []string{
		"", "abt2-visitor=x", "a=1; abt2-page=1.2.x", "abt2-visitor=;abt2-visitor=y", `abt2-page="1"`, "abt2-page=" + strings.Repeat("9", 200),
		abt2.PageCookie + "=" + skew.Sign("e", "default", 42, now), abt2.PageCookie + "=18446744073709551616.1.", "abt2-page=..", "abt2-visitor=\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		c := readVisitorCookies(http.Header{"Cookie": {v}})
		if c.visitor != "" && !isToken(c.visitor) {
			t.Errorf("%q: the visitor is %q", v, c.visitor)
		}
		if len(c.page) > maxPageCookie || strings.ContainsAny(c.page, "; ,\"\\\r\n\t") {
			t.Errorf("%q: the page is %q", v, c.page)
		}
		if strings.Count(v, c.visitor) == 0 || strings.Count(v, c.page) == 0 {
			t.Errorf("%q: %+v is not in it", v, c)
		}
		if env := skew.Open("e", "default", c.page, now); env != 0 && c.page != skew.Sign("e", "default", env, now) {
			t.Errorf("%q: opened as %d", c.page, env)
		}
	})
}
