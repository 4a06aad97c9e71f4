package drivertest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func edgeStamps(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	for _, http2 := range []bool{false, true} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			res := g.do(t, request{method: method, path: "/", http2: http2})
			if method == "HEAD" {
				if got := res.header.Get("From"); got != "web@1" {
					t.Errorf("HEAD was answered by %q", got)
				}
				continue
			}
			if res.seen.env() != "1" || !addressed(res.seen, "web@1/web-1-1") || res.seen.Method != method {
				t.Errorf("%s, http2 %v: environment %q, Abt2-To %q, method %s", method, http2, res.seen.env(), res.seen.Header.Get("Abt2-To"), res.seen.Method)
			}
			if served := res.header.Get("Abt2-Served"); served != "" {
				t.Errorf("%s: Abt2-Served %q without a token", method, served)
			}
		}
	}
}

func edgeSaysItself(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	res := g.get(t, "/?header=Abt2-Served:9+forged&header=Cache-Control:public", nil)
	if served, cache := res.header.Values("Abt2-Served"), res.header.Get("Cache-Control"); len(served) != 0 || cache != "public" {
		t.Errorf("a module's answer without a token: Abt2-Served %q, Cache-Control %q; want none, public", served, cache)
	}
}

func edgeKeepsForeign(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	for _, c := range []struct{ sent, want string }{
		{"a=1", "a=1"},
		{"a=1; b=2", "a=1; b=2"},
		{`a="x y"; weird; b==;;c=%3D`, `a="x y"; weird; b==;;c=%3D`},
		{"abt2=TOKEN", ""},
		{"abt2=TOKEN; a=1", "a=1"},
		{"a=1; abt2=TOKEN", "a=1"},
		{"abt2-page=1.2.abc; a=1; abt2-visitor=TOKEN; abt2-pages=1", "a=1; abt2-pages=1"},
		{`a="x"; abt2=TOKEN; xabt2=1; abt2x=2; b=a abt2 b`, `a="x"; xabt2=1; abt2x=2; b=a abt2 b`},
	} {
		res := g.get(t, "/", http.Header{"Cookie": {strings.ReplaceAll(c.sent, "TOKEN", string(tokenPreview))}})
		got := res.seen.Header.Get("Cookie")
		if g.RewritesCookies {
			got, c.want = strings.Join(cookies(t, got), "\n"), strings.Join(cookies(t, c.want), "\n")
		}
		if got != c.want {
			t.Errorf("Cookie %q arrived as %q, want %q", c.sent, got, c.want)
		}
	}
	for _, c := range []struct{ sent, want []string }{
		{[]string{"a=1"}, []string{"a=1"}},
		{[]string{"a=1;p=2,b=x%20y"}, []string{"a=1;p=2", "b=x%20y"}},
		{[]string{"a=1,abt2.env=9,b=2"}, []string{"a=1", "b=2"}},
		{[]string{"a=1,abt2.env=9;p", "b=2, abt2.envoy=3"}, []string{"a=1", "b=2", "abt2.envoy=3"}},
	} {
		res := g.get(t, "/", http.Header{"Baggage": c.sent})
		var got []string
		for _, v := range res.seen.Header["Baggage"] {
			for m := range strings.SplitSeq(v, ",") {
				if m = strings.TrimSpace(m); !strings.HasPrefix(m, "abt2.env=") {
					got = append(got, m)
				}
			}
		}
		if g.DropsBaggage {
			c.want = nil
		}
		if strings.Join(got, ",") != strings.Join(c.want, ",") || res.seen.env() != "1" {
			t.Errorf("baggage %q arrived as %q in environment %q, want %q in 1", c.sent, got, res.seen.env(), c.want)
		}
	}
}

// cookies lists names and values, without the quotation marks that may be
// around a value.
func cookies(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for pair := range strings.SplitSeq(line, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if ok {
			out = append(out, name+"="+strings.Trim(value, `"`))
		}
	}
	return out
}

// forged is what an outside request may try, as name and value.
var forged = [][2]string{
	{"Abt2-Env", "3"}, {"Abt2-Env", "2"}, {"abt2-env", "2"}, {"ABT2-ENV", "2.label"},
	{"abt2_env", "2"}, {"Abt2_Env", "2"}, {"ABT2_ENV", "2"},
	{"Abt2-To", "web@2"}, {"abt2_to", "web@2/web-2-1"}, {"ABT2-TO", "web@2"},
	{"Abt2-Served", "2 preview"}, {"abt2_served", "2 preview"},
	{"abt2_token", string(tokenPreview)}, {"ABT2_TOKEN", string(tokenPreview)},
	{"baggage", "a=1,abt2.env=2"}, {"BAGGAGE", " abt2.env = 3 ;p=1 , b=2"}, {"Baggage", "abt2.env=2,abt2.env=3"},
	{"Baggage", "abt2%2Eenv=2"}, {"Baggage", "ABT2.env=2"},
}

// addressed tells whether a request was sent to an instance; a gateway may leave
// the instance out and name its version only.
func addressed(s seen, to string) bool {
	version, _, _ := strings.Cut(to, "/")
	got := s.Header.Get("Abt2-To")
	return got == to || got == version
}

// checkUnforged reports what of a forgery has arrived in headers that must
// carry the stamp of environment env.
func checkUnforged(t *testing.T, what string, s seen, env, to string) {
	t.Helper()
	if s.env() != env || !addressed(s, to) {
		t.Errorf("%s: environment %q, Abt2-To %q; want %s, %q", what, s.env(), s.Header["Abt2-To"], env, to)
	}
	for name, values := range s.Header {
		folded := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		switch {
		case name == "Abt2-Env" || name == "Abt2-To":
			if len(values) != 1 {
				t.Errorf("%s: %s arrived %d times: %q", what, name, len(values), values)
			}
		case folded == "abt2-env", folded == "abt2-to", folded == "abt2-token", folded == "abt2-served":
			t.Errorf("%s: %s arrived: %q", what, name, values)
		case folded == "baggage":
			all := strings.ToLower(strings.Join(values, ","))
			if strings.Count(strings.ReplaceAll(all, "%2e", "."), "abt2.env") != 1 {
				t.Errorf("%s: baggage arrived as %q", what, values)
			}
		}
	}
	for name := range s.Trailer {
		if s.keptTrailers {
			break
		}
		if folded := strings.ToLower(strings.ReplaceAll(name, "_", "-")); strings.HasPrefix(folded, "abt2-") || folded == "baggage" || folded == "cookie" {
			t.Errorf("%s: trailer %s arrived", what, name)
		}
	}
}

func edgeStripsForged(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	const to = "web@1/web-1-1"
	all := "GET / HTTP/1.1\r\nHost: x\r\n"
	for _, f := range forged {
		line := f[0] + ": " + f[1] + "\r\n"
		all += line
		checkUnforged(t, line, g.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n"+line+"\r\n"), "1", to)
		checkUnforged(t, line+" twice", g.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n"+line+line+"\r\n"), "1", to)
		checkUnforged(t, line+" on HTTP/2", g.do(t, request{path: "/", http2: true, header: http.Header{f[0]: {f[1], f[1]}}}).seen, "1", to)
	}
	checkUnforged(t, "all at once", g.raw(t, all+"\r\n"), "1", to)
	// A client cannot have the stamp removed by calling it hop-by-hop.
	checkUnforged(t, "Connection", g.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Abt2-Env, abt2-to, baggage\r\n\r\n"), "1", to)
	// Nor does a token make a forgery better.
	checkUnforged(t, "with a token", g.raw(t, all+"Cookie: abt2="+string(tokenPreview)+"\r\n\r\n"), "2", "web@2/web-2-1")
}

func edgeStripsTrailers(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
	const body = "\r\n4\r\nbody\r\n0\r\nAbt2-Env: 2\r\nabt2_env: 2\r\nAbt2-To: web@2\r\nBaggage: abt2.env=2\r\nCookie: abt2=x\r\n\r\n"
	for what, announced := range map[string]string{
		"announced trailers":   "Trailer: Abt2-Env, abt2_env, Abt2-To, Baggage, Cookie\r\n",
		"unannounced trailers": "",
		"some announced":       "Trailer: X-Checksum\r\nTrailer: Abt2-To\r\n",
	} {
		s := g.raw(t, head+announced+body)
		s.keptTrailers = g.KeepsTrailers
		checkUnforged(t, what, s, "1", "web@1/web-1-1")
		if s.Body != "body" {
			t.Errorf("%s: the body arrived as %q", what, s.Body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", g.base(true)+"/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Trailer = http.Header{"Abt2-Env": {"2"}, "Abt2_to": {"web@2"}, "Baggage": {"abt2.env=2"}}
	res, err := g.client2.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var s seen
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	s.keptTrailers = g.KeepsTrailers
	checkUnforged(t, "trailers on HTTP/2", s, "1", "web@1/web-1-1")
}

func edgeStripsUpgrades(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	header := http.Header{"Cookie": {"a=1; abt2=" + string(tokenPreview)}}
	for _, f := range forged {
		header[f[0]] = append(header[f[0]], f[1])
	}
	c, res, err := websocket.Dial(t.Context(), "ws://"+g.Address+"/?do=websocket", &websocket.DialOptions{HTTPHeader: header})
	if g.NoWebSockets {
		if err == nil {
			c.CloseNow()
			t.Error("a WebSocket was opened through a gateway that refuses them")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	s := talk(t, c, "hello")
	checkUnforged(t, "upgrade", s, "2", "web@2/web-2-1")
	if got := s.Header.Get("Cookie"); got != "a=1" {
		t.Errorf("Cookie arrived as %q, want a=1", got)
	}
	if got := res.Header.Get("Abt2-Served"); got != "2 preview" {
		t.Errorf("Abt2-Served of the upgrade: %q, want 2 preview", got)
	}
}

// talk sends a message and returns what the module made of it.
func talk(t *testing.T, c *websocket.Conn, message string) seen {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, b, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if s.Body != message {
		t.Errorf("message %q arrived as %q", message, s.Body)
	}
	return s
}

// raw sends a request as it is written and returns how it arrived.
func (g *gateway) raw(t *testing.T, text string) seen {
	t.Helper()
	s, err := g.tryRaw(text)
	if err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return s
}

func (g *gateway) tryRaw(text string) (s seen, err error) {
	c, err := net.Dial("tcp", g.Address)
	if err != nil {
		return s, err
	}
	defer c.Close()
	if _, err := c.Write([]byte(text)); err != nil {
		return s, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.Header.Get("Module") == "" {
		return s, fmt.Errorf("no module answered: %s", res.Status)
	}
	return s, json.NewDecoder(res.Body).Decode(&s)
}
