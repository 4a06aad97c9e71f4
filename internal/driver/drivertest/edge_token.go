package drivertest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"abt2.dev"
)

// edgeKeepsTokensToTheirProduct: a token of another product is as unknown as
// one that was guessed.
func edgeKeepsTokensToTheirProduct(t *testing.T, g *gateway) {
	g.apply(t, nil, map[abt2.Token]abt2.EnvironmentID{tokenPreview: 2, tokenBackup: 5})
	header := http.Header{"Abt2-Token": {string(tokenBackup)}}
	if res := g.get(t, "/", header); res.seen.env() != "1" || res.header.Get("Abt2-Served") != "1 online" {
		t.Errorf("the blog's token at another host: environment %q, Abt2-Served %q; want 1, 1 online", res.seen.env(), res.header.Get("Abt2-Served"))
	}
	header = http.Header{"Abt2-Token": {string(tokenPreview)}}
	if res := g.do(t, request{path: "/", host: "blog.example", header: header}); res.seen.env() != "5" || res.header.Get("Abt2-Served") != "5 online" {
		t.Errorf("another product's token at the blog: environment %q, Abt2-Served %q; want 5, 5 online", res.seen.env(), res.header.Get("Abt2-Served"))
	}
}

// edgeRefusesAmbiguousTokens: a request must say clearly what it wants.
func edgeRefusesAmbiguousTokens(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	preview, backup := string(tokenPreview), string(tokenBackup)
	for _, c := range []struct {
		what   string
		header http.Header
		env    string // empty: 400
		first  string // for a gateway that takes the first token
	}{
		{"two headers", http.Header{"Abt2-Token": {preview, backup}}, "", "2"},
		{"no token in the header", http.Header{"Abt2-Token": {"not a token"}}, "", "1"},
		{"no token in the cookie", http.Header{"Cookie": {"abt2=a%20b"}}, "", "1"},
		{"two cookies", http.Header{"Cookie": {"abt2=" + preview + "; abt2=" + backup}}, "", "2"},
		{"two cookies the other way", http.Header{"Cookie": {"abt2=" + backup + "; a=1; abt2=" + preview}}, "", "3"},
		{"one cookie twice", http.Header{"Cookie": {"abt2=" + preview + "; abt2=" + preview}}, "2", "2"},
		{"the header goes before the cookie", http.Header{"Abt2-Token": {backup}, "Cookie": {"abt2=" + preview}}, "3", "3"},
	} {
		if g.TakesFirstToken {
			c.env = c.first
		}
		res := g.get(t, "/", c.header)
		switch {
		case c.env == "" && res.status != http.StatusBadRequest:
			t.Errorf("%s: status %d in environment %q, want 400", c.what, res.status, res.seen.env())
		case c.env != "" && (res.seen.env() != c.env || strings.Contains(res.seen.Header.Get("Cookie"), "abt2")):
			t.Errorf("%s: status %d, environment %q, Cookie %q; want %s and none", c.what, res.status, res.seen.env(), res.seen.Header.Get("Cookie"), c.env)
		}
	}
}

// edgeFinishesWhereItsTokenLed: ship replaces the preview under a cookie that
// stays. What is on its way ends where it began, the next request is led anew.
func edgeFinishesWhereItsTokenLed(t *testing.T, g *gateway) {
	g.apply(t, nil, map[abt2.Token]abt2.EnvironmentID{tokenPreview: 2})
	type result struct {
		a   answer
		err error
	}
	in, out := io.Pipe()
	done := make(chan result, 1)
	go func() {
		a, err := g.tryBody(t.Context(), "/?do=wait", in, http.Header{"Abt2-Token": {string(tokenPreview)}})
		done <- result{a, err}
	}()
	if _, err := io.WriteString(out, "first "); err != nil {
		t.Fatal(err)
	}
	await(t, g.modules[mustVersion("web@2")].arrived)
	g.apply(t, nil, map[abt2.Token]abt2.EnvironmentID{tokenPreview: 3})
	if res := g.get(t, "/", http.Header{"Abt2-Token": {string(tokenPreview)}}); res.seen.env() != "3" || res.seen.Version != "web@1" {
		t.Errorf("the next request: %q in environment %q, want web@1 in 3", res.seen.Version, res.seen.env())
	}
	if _, err := io.WriteString(out, "second"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if r := <-done; r.err != nil || r.a.seen.env() != "2" || r.a.seen.Version != "web@2" || r.a.seen.Body != "first second" {
		t.Errorf("a request under whose token the environment changed: %q in environment %q, body %q, error %v; want web@2 in 2, whole",
			r.a.seen.Version, r.a.seen.env(), r.a.seen.Body, r.err)
	}
}
