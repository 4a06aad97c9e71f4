package bfe_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/bfe"
	"abt2.dev/internal/driver/bfe/bfetest"
)

// What the driver knows of BFE, and why it does what it does. The stand-in is as
// BFE is in this: with ABT2_BFE these tests look at the real one.

// TestReloadFailsWithStatus200: what counts is the answer's "error", in which
// quotation marks are not escaped. What was served before stays, whole.
func TestReloadFailsWithStatus200(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	p.Edit(t, routeFile, func(string) string {
		return `{"Version": "wrong", "ProductRule": {"abt2.default": [{"Cond": "req_unheard_of(\"a\")", "ClusterName": "1.web"}]}}`
	})
	p.Edit(t, "server_data_conf/host_rule.data", func(s string) string {
		return regexp.MustCompile(`abt2-\w+`).ReplaceAllString(s, "changed")
	})
	said := p.Reload(t, "server_data_conf") // fails the test for another status
	if !strings.Contains(said, "req_unheard_of") || !badlyEscaped(said) {
		t.Errorf("a wrong condition is answered %s; want what is wrong, badly escaped", said)
	}
	if v := version(t, p, "host_table_version", "HostTag"); v == "changed" {
		t.Error("the host table was taken although the routes were refused")
	}
	if _, env := get(t, p, "/", nil); env != "1.web" {
		t.Errorf("after the refusal a request is led to %q", env)
	}
}

// TestRouteToAClusterMissingInGslbIsAccepted, and then answers 500.
func TestRouteToAClusterMissingInGslbIsAccepted(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	rename := func(s string) string { return strings.ReplaceAll(s, `"1.web"`, `"9.web"`) }
	p.Edit(t, clusterFile, rename)
	p.Edit(t, routeFile, rename)
	if said := p.Reload(t, "server_data_conf"); said != `{"error":null}` {
		t.Errorf("the reload is answered %s", said)
	}
	if status, _ := get(t, p, "/", nil); status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", status)
	}
}

// TestRouteToAClusterMissingInClusterConfIsRefused.
func TestRouteToAClusterMissingInClusterConfIsRefused(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	p.Edit(t, routeFile, func(s string) string { return strings.ReplaceAll(s, `"1.web"`, `"9.web"`) })
	if said := p.Reload(t, "server_data_conf"); !strings.Contains(said, "9.web") {
		t.Errorf("the reload is answered %s", said)
	}
}

// TestEmptyRuleListIsAccepted, and then answers 500.
func TestEmptyRuleListIsAccepted(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	p.Edit(t, routeFile, func(string) string { return `{"Version": "empty", "ProductRule": {"abt2.default": []}}` })
	if said := p.Reload(t, "server_data_conf"); said != `{"error":null}` {
		t.Errorf("the reload is answered %s", said)
	}
	if status, _ := get(t, p, "/", nil); status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", status)
	}
}

// TestTellsVersionsAndNoRules: the monitor port names what was loaded; of
// mod_header it does not even do that.
func TestTellsVersionsAndNoRules(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	apply(t, e, shop(1, 1))
	for file, page := range map[string][2]string{
		routeFile: {"host_table_version", "ProductRoute"}, clusterFile: {"cluster_table_version", "ClusterConfVer"}, gslbFile: {"bal_table_version", "GslbConfTimeStamp"},
	} {
		b, err := os.ReadFile(filepath.Join(p.Dir, file))
		if v := version(t, p, page[0], page[1]); err != nil || v == "" || !strings.Contains(string(b), `"`+v+`"`) {
			t.Errorf("%s: version %q is told, error %v", file, v, err)
		}
	}
	for _, page := range []string{"mod_header", "mod_header_version", "host_rule", "route_rule"} {
		if said := ask(t, p, "/monitor/"+page); !strings.HasPrefix(said, `{"error":"`) {
			t.Errorf("/monitor/%s answers %s", page, said)
		}
	}
}

// TestHeaderRulesAreLoadedApart: between two reloads a literal stamp says what
// was; the cluster's name does not.
func TestHeaderRulesAreLoadedApart(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	seen := make(chan http.Header, 1)
	m := module(t, seen)
	apply(t, e, shopAt(1, 1, m))
	p.Edit(t, headerFile, func(s string) string {
		return strings.Replace(s, `"cmd": "REQ_COOKIE_DEL"`, `"cmd": "REQ_HEADER_SET", "params": ["Literal", "1"]}, {"cmd": "REQ_COOKIE_DEL"`, 1)
	})
	if said := p.Reload(t, "mod_header"); said != `{"error":null}` {
		t.Fatal(said)
	}
	p.Edit(t, routeFile, func(s string) string { return strings.ReplaceAll(s, `"1.web"`, `"2.web"`) })
	p.Reload(t, "server_data_conf")
	get(t, p, "/", nil)
	if h := <-seen; h.Get("Literal") != "1" || h.Get("Abt2-Env") != "2.web" {
		t.Errorf("a request after the switch of routes: literal stamp %q, by cluster %q; want the old 1, 2.web", h.Get("Literal"), h.Get("Abt2-Env"))
	}
}

// TestUpgradesByPassHeaderRules: a WebSocket reaches its module unstamped, with
// whatever its client has forged.
func TestUpgradesByPassHeaderRules(t *testing.T) {
	e, p, _ := open(t, bfe.Config{})
	seen := make(chan http.Header, 1)
	apply(t, e, shopAt(1, 1, module(t, seen)))
	p.Edit(t, routeFile, func(s string) string { return strings.ReplaceAll(s, `"abt2.nobody"`, `"1.web"`) })
	if said := p.Reload(t, "server_data_conf"); said != `{"error":null}` {
		t.Fatal(said)
	}
	c := upgrade(t, p, "Abt2-Env: 7\r\nCookie: abt2=x\r\n")
	defer c.Close()
	if h := <-seen; h.Get("Abt2-Env") != "7" || h.Get("Cookie") != "abt2=x" {
		t.Errorf("the module sees the stamp %q and the cookie %q; want what the client sent", h.Get("Abt2-Env"), h.Get("Cookie"))
	}
}

// TestTLSEndsAt12.
func TestTLSEndsAt12(t *testing.T) {
	_, p, _ := open(t, bfe.Config{})
	trust := p.Trust.Clone()
	trust.MinVersion, trust.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	if c, err := tls.Dial("tcp", p.HTTPS, trust); err == nil {
		c.Close()
		t.Error("TLS 1.3 was spoken")
	}
	c, err := tls.Dial("tcp", p.HTTPS, p.Trust)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// get sends a request and returns its status and the cluster it was led to.
func get(t testing.TB, p *bfetest.Place, path string, header http.Header) (status int, cluster string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTP+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Abt2-Probe", note(t, p).Probe)
	req.Close = true
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Abt2-Cluster")
}

// upgrade asks for a WebSocket and returns its connection, whatever came back.
func upgrade(t testing.TB, p *bfetest.Place, header string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// closed reports whether the other side has closed a connection without a word.
func closed(c net.Conn) bool {
	_, err := bufio.NewReader(c).ReadByte()
	return err == io.EOF
}

type testNote struct{ Probe string }

func note(t testing.TB, p *bfetest.Place) (n testNote) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, noteFile))
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ask(t testing.TB, p *bfetest.Place, path string) string {
	t.Helper()
	res, err := http.Get("http://" + p.Monitor + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func version(t testing.TB, p *bfetest.Place, page, key string) string {
	t.Helper()
	var out map[string]string
	if err := json.Unmarshal([]byte(ask(t, p, "/monitor/"+page)), &out); err != nil {
		t.Fatal(err)
	}
	return out[key]
}

// module answers 204 and tells how requests arrive.
func module(t testing.TB, seen chan<- http.Header) abt2.TableInstance {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r.Header:
		default: // nobody asks
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	return abt2.TableInstance{ID: "web-1-1", Address: srv.Listener.Addr().String()}
}

// shop is a product whose environments 1 and 2 have web@1 and web@2 at /.
func shop(revision uint64, online abt2.EnvironmentID) abt2.EdgeRoutes {
	return shopAt(revision, online, abt2.TableInstance{ID: "web-1-1", Address: "127.0.0.1:1"})
}

func shopAt(revision uint64, online abt2.EnvironmentID, instance abt2.TableInstance) abt2.EdgeRoutes {
	r := abt2.EdgeRoutes{
		Table: abt2.Table{
			Mark: abt2.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: 2,
			Products: []abt2.TableProduct{{Name: abt2.DefaultProduct, Online: online, Preview: 3 - online}},
		},
		Tokens: map[abt2.TokenDigest]abt2.EnvironmentID{secret.Digest(): 3 - online},
		Whole:  map[abt2.TokenDigest]abt2.Token{secret.Digest(): secret},
	}
	for n := uint64(1); n <= 2; n++ {
		v := abt2.VersionID{Module: "web", Number: n}
		r.Table.Environments = append(r.Table.Environments, abt2.TableEnvironment{ID: abt2.EnvironmentID(n), Product: abt2.DefaultProduct, Modules: []abt2.VersionID{v}})
		r.Table.Versions = append(r.Table.Versions, abt2.TableVersion{ID: v, Kind: abt2.KindEdge, Prefix: "/", Instances: []abt2.TableInstance{instance}})
	}
	return r
}

const secret abt2.Token = "c2VjcmV0LXNlY3JldC1zZQ"

func apply(t testing.TB, e *bfe.Edge, r abt2.EdgeRoutes) {
	t.Helper()
	if err := e.Apply(t.Context(), r); err != nil {
		t.Fatalf("Apply revision %d: %v", r.Table.Mark.Revision, err)
	}
}

// badlyEscaped reports whether an answer tells of an error in what no JSON is.
func badlyEscaped(answer string) bool {
	return strings.HasPrefix(answer, `{"error":"`) && json.NewDecoder(bytes.NewReader([]byte(answer))).Decode(&struct{ Error string }{}) != nil
}
