package edge

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"abt2.dev"
)

func TestEnter(t *testing.T) {
	for _, public := range []string{"http://shop.example", "https://shop.example"} {
		e := newTestEdge(t, func(c *Config) { c.PublicURL = public })
		e.mustApply(t, routesTo(1, module(t, func(http.ResponseWriter, *http.Request) {})))
		for _, c := range []struct {
			query    string
			status   int
			location string
		}{
			{"token=" + string(preview), 303, "/"},
			{"token=" + string(preview) + "&to=/cart%3Fa=1%23x", 303, "/cart?a=1#x"},
			{"token=" + string(preview) + "&to=//evil.test", 400, ""},
			{"token=" + string(preview) + "&to=https://evil.test", 400, ""},
			{"token=" + string(preview) + "&to=/%5Cevil.test", 400, ""},
			{"token=" + string(preview) + "&to=/a%0D%0ASet-Cookie:x", 400, ""},
			{"token=" + string(preview) + "&to=/a&to=/b", 400, ""},
			{"token=" + string(preview) + "&token=" + string(preview), 400, ""},
			{"token=" + string(unknown), 410, ""},
			{"token=%0d%0a", 400, ""},
			{"token=", 400, ""},
			{"", 400, ""},
			{"%zz", 400, ""},
		} {
			res, body := e.get(t, "/.abt2/enter?"+c.query, nil)
			if res.StatusCode != c.status || res.Header.Get("Location") != c.location {
				t.Errorf("%s: status %d to %q, want %d to %q", c.query, res.StatusCode, res.Header.Get("Location"), c.status, c.location)
			}
			if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: header %v", c.query, res.Header)
			}
			want := ""
			if c.status == 303 {
				want = "abt2=" + string(preview) + "; Path=/; HttpOnly"
				if strings.HasPrefix(public, "https") {
					want += "; Secure"
				}
				want += "; SameSite=Lax"
			}
			if got := res.Header.Get("Set-Cookie"); got != want {
				t.Errorf("%s: Set-Cookie %q, want %q", c.query, got, want)
			}
			if strings.Contains(body, string(preview)) || strings.Contains(body, string(unknown)) {
				t.Errorf("%s: the page shows the token", c.query)
			}
		}
		if res, _ := send(t, "POST", e.url+"/.abt2/enter?token="+string(preview), nil, ""); res.StatusCode != 405 || res.Header.Get("Allow") == "" {
			t.Errorf("POST: status %d, Allow %q; want 405", res.StatusCode, res.Header.Get("Allow"))
		}
	}
}

func TestEnterWithoutServer(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1))
	e.metrics.connected.Store(false)
	if res, _ := e.get(t, "/.abt2/enter?token="+string(unknown), nil); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("unknown token: status %d, want 503 with a time", res.StatusCode)
	}
	if res, _ := e.get(t, "/.abt2/enter?token="+string(preview), nil); res.StatusCode != 303 {
		t.Errorf("known token: status %d, want 303", res.StatusCode)
	}
}

func TestLeave(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1))
	// A cookie that is no token must not keep anybody from dropping it.
	res, _ := e.get(t, "/.abt2/leave", http.Header{"Cookie": {"abt2=" + string(preview)}})
	if got, want := res.Header.Get("Set-Cookie"), "abt2=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"; res.StatusCode != 303 || res.Header.Get("Location") != "/" || got != want {
		t.Errorf("status %d to %q, Set-Cookie %q; want 303 to /, %q", res.StatusCode, res.Header.Get("Location"), got, want)
	}
	for _, cookie := range []string{"abt2=%%%", "abt2=aaaa; abt2=bbbb"} {
		if res, _ := e.get(t, "/.abt2/leave", http.Header{"Cookie": {cookie}}); res.StatusCode != 303 {
			t.Errorf("cookie %q: status %d, want 303", cookie, res.StatusCode)
		}
		if res, _ := e.get(t, "/", http.Header{"Cookie": {cookie}}); res.StatusCode != 400 {
			t.Errorf("cookie %q elsewhere: status %d, want 400", cookie, res.StatusCode)
		}
	}
}

func TestHere(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1))
	for _, c := range []struct {
		token string
		want  []string
	}{
		{"", []string{"Environment 1", "online", "web@1", "order@1", "default", "everybody sees"}},
		{string(preview), []string{"Environment 2", "preview", "web@2", "/.abt2/leave"}},
		{string(unknown), []string{"Environment 1", "selects nothing", "/.abt2/leave"}},
	} {
		header := http.Header{}
		if c.token != "" {
			header.Set("Abt2-Token", c.token)
		}
		for _, path := range []string{"/.abt2", "/.abt2/", "/%2eabt2/"} {
			res, body := e.get(t, path, header)
			if res.StatusCode != 200 || res.Header.Get("Cache-Control") == "" {
				t.Errorf("%s: status %d, header %v", path, res.StatusCode, res.Header)
			}
			for _, want := range c.want {
				if !strings.Contains(body, want) {
					t.Errorf("%s with token %q: the page lacks %q", path, c.token, want)
				}
			}
		}
	}
	if res, _ := e.get(t, "/.abt2/other", nil); res.StatusCode != 404 {
		t.Errorf("/.abt2/other: status %d, want 404", res.StatusCode)
	}
}

func TestRefusalSpeaksTheClientsLanguage(t *testing.T) {
	e := newTestEdge(t, nil)
	res, body := e.get(t, "/", http.Header{"Accept": {"text/html,*/*"}})
	if res.StatusCode != 503 || !strings.Contains(body, "<h1>Not ready yet</h1>") || !strings.Contains(body, "light dark") {
		t.Errorf("browser: status %d, %q", res.StatusCode, body)
	}
	res, body = e.get(t, "/", nil)
	if res.StatusCode != 503 || !strings.HasPrefix(body, "abt2: not ready yet.") {
		t.Errorf("other client: status %d, %q", res.StatusCode, body)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", e.url+"/shop.Cart/Get", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc+proto")
	if res, err = transport.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Grpc-Status") != "14" {
		t.Errorf("gRPC: status %d, Grpc-Status %q; want 200, 14", res.StatusCode, res.Header.Get("Grpc-Status"))
	}
}

func FuzzIsLocalTarget(f *testing.F) {
	for _, s := range []string{"/", "/a?b=c#d", "//x", "/\\x", "/\t/x", "https://x", "javascript:x", "/%2f/x", "", "/a b", "/é", "/:80"} {
		f.Add(s)
	}
	base, err := url.Parse("https://shop.example/.abt2/enter")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, to string) {
		if !isLocalTarget(to) {
			return
		}
		// As a browser reads it: \ is /, tabs and line ends are nothing.
		read := strings.NewReplacer("\\", "/", "\t", "", "\n", "", "\r", "").Replace(to)
		u, err := base.Parse(read)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Errorf("%q leads to %v, error %v", to, u, err)
		}
		if strings.HasPrefix(strings.TrimLeft(read, " "), "//") {
			t.Errorf("%q leads to another host", to)
		}
	})
}

func TestSaysWhetherItHasItsServer(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1, module(t, func(http.ResponseWriter, *http.Request) {})))
	for _, connected := range []bool{true, false, true} {
		e.metrics.connected.Store(connected)
		want := http.StatusOK
		if !connected {
			want = http.StatusServiceUnavailable
		}
		if res, body := e.get(t, abt2.ConnectedPath, nil); res.StatusCode != want || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("connected %v: status %d, %q; want %d", connected, res.StatusCode, body, want)
		}
	}
}
