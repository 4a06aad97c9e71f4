package edge

import (
	"net"
	"net/http"
	"testing"

	"abt2.dev/lane/feedpb"
)

// tells answers with what a request was stamped with.
func tells(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Env", r.Header.Get("Abt2-Env"))
	w.Header().Set("To", r.Header.Get("Abt2-To"))
	w.Header().Set("Baggage-Seen", r.Header.Get("Baggage"))
	w.Header().Set("Forwarded-For", r.Header.Get("X-Forwarded-For"))
	w.Header().Set("Cookie-Seen", r.Header.Get("Cookie"))
	w.Header().Set("Token-Seen", r.Header.Get("Abt2-Token"))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func withName(r *feedpb.EdgeRoutes, address string) *feedpb.EdgeRoutes {
	r.Table.Names = append(r.Table.Names, &feedpb.Name{Module: "order", Product: "default", Address: address})
	return r
}

func TestNameFollowsOnline(t *testing.T) {
	e := newTestEdge(t, nil)
	address, m := freeAddress(t), module(t, tells)
	e.mustApply(t, withName(routesTo(1, m), address))
	for _, c := range []struct {
		what   string
		header http.Header
		env    string
		to     string
	}{
		{"no stamp", nil, "1", "order@1/order-1-a"},
		{"stamp", http.Header{"Abt2-Env": {"2"}}, "2", "order@2/order-2-a"},
		{"stamp with a label", http.Header{"Abt2-Env": {"2.beta"}}, "2", "order@2/order-2-a"},
		{"stamp in baggage", http.Header{"Baggage": {"a=1,abt2.env=2"}}, "2", "order@2/order-2-a"},
		{"token", http.Header{"Abt2-Token": {string(preview)}, "Cookie": {"a=1; abt2=" + string(preview)}}, "1", "order@1/order-1-a"},
	} {
		res, _ := send(t, "POST", "http://"+address+"/take", c.header, "body")
		if h := res.Header; res.StatusCode != 200 || h.Get("Env") != c.env || h.Get("To") != c.to || h.Get("Token-Seen") != "" {
			t.Errorf("%s: status %d, %v; want environment %s, %s", c.what, res.StatusCode, h, c.env, c.to)
		}
	}
	res, _ := send(t, "GET", "http://"+address, http.Header{"X-Forwarded-For": {"10.1.2.3"}, "Baggage": {"a=1"}, "Cookie": {"a=1; abt2=x"}}, "")
	if h := res.Header; h.Get("Forwarded-For") != "10.1.2.3" || h.Get("Baggage-Seen") != "abt2.env=1,a=1" || h.Get("Cookie-Seen") != "a=1" {
		t.Errorf("a name is no proxy to its callers: %v", h)
	}
	for what, header := range map[string]http.Header{
		"malformed": {"Abt2-Env": {"-1"}},
		"duplicate": {"Abt2-Env": {"1", "1"}},
	} {
		if res, _ := send(t, "GET", "http://"+address, header, ""); res.StatusCode != 400 {
			t.Errorf("%s stamp: status %d, want 400", what, res.StatusCode)
		}
	}
	if res, _ := send(t, "GET", "http://"+address, http.Header{"Abt2-Env": {"9"}}, ""); res.StatusCode != 503 {
		t.Errorf("unknown environment: status %d, want 503, never another environment", res.StatusCode)
	}
	flipped := withName(routesTo(2, m), address)
	flipped.Table.Products[0].Online, flipped.Table.Products[0].Preview = 2, 0
	e.mustApply(t, flipped)
	if res, _ := send(t, "GET", "http://"+address, nil, ""); res.Header.Get("Env") != "2" {
		t.Errorf("after the flip: environment %q, want 2", res.Header.Get("Env"))
	}
	if got := e.report().GetStamped(); got != 4 {
		t.Errorf("%d requests were stamped at the name, want 4", got)
	}
}

func TestNamesComeAndGo(t *testing.T) {
	e := newTestEdge(t, nil)
	m := module(t, tells)
	one, two := freeAddress(t), freeAddress(t)
	answers := func(address string) bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
	check := func(revision uint64, address string, gone ...string) {
		t.Helper()
		r := routesTo(revision, m)
		if address != "" {
			withName(r, address)
		}
		e.mustApply(t, r)
		if address != "" && !answers(address) {
			t.Errorf("revision %d: nobody listens on %s", revision, address)
		}
		for _, a := range gone {
			if answers(a) {
				t.Errorf("revision %d: somebody still listens on %s", revision, a)
			}
		}
	}
	check(1, one, two)
	check(2, two, one)
	check(3, one, two)
	check(4, "", one, two)
}

func TestNameInUse(t *testing.T) {
	e := newTestEdge(t, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	e.mustApply(t, withName(routesTo(1, module(t, tells)), address))
	if states := e.names.states(); len(states) != 1 || states[0].Error == "" {
		t.Errorf("states %+v, want one with an error", states)
	}
	if names := e.served().GetTable().GetNames(); len(names) != 0 {
		t.Errorf("served names %v, want none", names)
	}
	taken.Close()
	done := make(chan struct{})
	go func() { defer close(done); e.names.retry(e.base) }()
	until(t, func() bool { return len(e.served().GetTable().GetNames()) == 1 })
	if res, _ := send(t, "GET", "http://"+address, nil, ""); res.Header.Get("Env") != "1" {
		t.Errorf("environment %q, want 1", res.Header.Get("Env"))
	}
	e.stop()
	<-done
}

func TestNameOffLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "localhost:0", "nonsense"} {
		if l, err := listenName(address); err == nil {
			l.Close()
			t.Errorf("%s: was listened on; requests to a name may say where they belong", address)
		}
	}
}
