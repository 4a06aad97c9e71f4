package drivertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"abt2.dev"
)

// The tokens of the suite's routes. tokenUnknown is in none.
const (
	tokenPreview abt2.Token = "cHJldmlldy1wcmV2aWV3LQ"
	tokenBackup  abt2.Token = "YmFja3VwLWJhY2t1cC1iYQ"
	tokenUnknown abt2.Token = "dW5rbm93bi11bmtub3duLQ"
)

// gateway is a fixture with modules behind it.
//
//	product default: 1 online  web@1 api@1 orders@1
//	                 2 preview web@2 api@2 orders@1
//	                 3 backup  web@1 api@2 orders@1
//	                 4         api@1
//	product journal: 5 online  web@3            blog.example www.blog.example
type gateway struct {
	EdgeFixture
	client   *http.Client // HTTP/1.1, keeps connections
	client2  *http.Client // HTTP/2 without TLS
	modules  map[abt2.VersionID]*module
	epoch    string
	revision uint64
}

func newGateway(t testing.TB, f EdgeFixture) *gateway {
	t.Helper()
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(f.HTTP2TLS == nil)
	h2.SetHTTP2(f.HTTP2TLS != nil)
	one := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	two := &http.Transport{DisableCompression: true, Protocols: h2, TLSClientConfig: f.HTTP2TLS}
	t.Cleanup(one.CloseIdleConnections)
	t.Cleanup(two.CloseIdleConnections)
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	g := &gateway{
		EdgeFixture: f, epoch: "e1", modules: map[abt2.VersionID]*module{},
		client:  &http.Client{Transport: one, CheckRedirect: noRedirect},
		client2: &http.Client{Transport: two, CheckRedirect: noRedirect},
	}
	for _, v := range []string{"web@1", "web@2", "web@3", "api@1", "api@2", "orders@1"} {
		m := newModule(t, v)
		g.modules[m.version] = m
	}
	return g
}

// routes builds the next routes, changed by edit.
func (g *gateway) routes(edit func(*abt2.Table)) abt2.EdgeRoutes {
	g.revision++
	tb := abt2.Table{
		Mark: abt2.Mark{Epoch: g.epoch, Revision: g.revision}, HighestEnvironment: 5,
		Products: []abt2.TableProduct{
			{Name: abt2.DefaultProduct, Online: 1, Preview: 2, Backup: 3},
			{Name: "journal", Hosts: []string{"blog.example", "www.blog.example"}, Online: 5},
		},
	}
	env := func(id abt2.EnvironmentID, p abt2.ProductName, wasOnline bool, versions ...string) {
		e := abt2.TableEnvironment{ID: id, Product: p, WasOnline: wasOnline}
		for _, v := range versions {
			e.Modules = append(e.Modules, mustVersion(v))
		}
		tb.Environments = append(tb.Environments, e)
	}
	env(1, abt2.DefaultProduct, true, "api@1", "orders@1", "web@1")
	env(2, abt2.DefaultProduct, false, "api@2", "orders@1", "web@2")
	env(3, abt2.DefaultProduct, true, "api@2", "orders@1", "web@1")
	env(4, abt2.DefaultProduct, false, "api@1")
	env(5, "journal", true, "web@3")
	for _, v := range []string{"api@1", "api@2", "orders@1", "web@1", "web@2", "web@3"} {
		m := g.modules[mustVersion(v)]
		tb.Versions = append(tb.Versions, abt2.TableVersion{
			ID: m.version, Kind: abt2.KindEdge, Fallback: abt2.FallbackNone,
			Prefix:    map[abt2.ModuleName]string{"web": "/", "api": "/api", "orders": "/api/orders"}[m.version.Module],
			Instances: []abt2.TableInstance{m.instance},
		})
	}
	if edit != nil {
		edit(&tb)
	}
	return g.selected(abt2.EdgeRoutes{Table: tb}, map[abt2.Token]abt2.EnvironmentID{tokenPreview: 2, tokenBackup: 3})
}

// selected returns routes with tokens, whole for an edge that needs them so.
func (g *gateway) selected(r abt2.EdgeRoutes, tokens map[abt2.Token]abt2.EnvironmentID) abt2.EdgeRoutes {
	r.Tokens = map[abt2.TokenDigest]abt2.EnvironmentID{}
	if _, ok := g.Edge.(abt2.TokenReader); ok {
		r.Whole = map[abt2.TokenDigest]abt2.Token{}
	}
	for token, env := range tokens {
		r.Tokens[token.Digest()] = env
		if r.Whole != nil {
			r.Whole[token.Digest()] = token
		}
	}
	return r
}

// refusal is the status with which the gateway refuses, where others have one
// that says more.
func (g *gateway) refusal(status int) int {
	if g.AnswersAny500 {
		return http.StatusInternalServerError
	}
	return status
}

// base is where the gateway is reached.
func (g *gateway) base(http2 bool) string {
	if http2 && g.HTTP2TLS != nil {
		return "https://" + g.HTTP2Address
	}
	return "http://" + g.Address
}

// apply makes the gateway serve the next routes. tokens replace the usual ones;
// those whose environment edit has removed are left out.
func (g *gateway) apply(t testing.TB, edit func(*abt2.Table), tokens map[abt2.Token]abt2.EnvironmentID) {
	t.Helper()
	r := g.routes(edit)
	if tokens != nil {
		r = g.selected(r, tokens)
	}
	for digest, env := range r.Tokens {
		if environment(&r.Table, env) == nil {
			delete(r.Tokens, digest)
			delete(r.Whole, digest)
		}
	}
	g.applyRoutes(t, r)
}

func (g *gateway) applyRoutes(t testing.TB, r abt2.EdgeRoutes) {
	t.Helper()
	if err := g.Edge.Apply(t.Context(), r); err != nil {
		t.Fatalf("Apply revision %d: %v", g.revision, err)
	}
}

// flip makes an environment online.
func (g *gateway) flip(t testing.TB, to abt2.EnvironmentID) {
	t.Helper()
	g.apply(t, func(tb *abt2.Table) {
		p := &tb.Products[0]
		p.Online, p.Preview = to, 0
		if to != 2 {
			p.Preview = 2
		}
	}, nil)
}

func version(tb *abt2.Table, m abt2.ModuleName, n uint64) *abt2.TableVersion {
	for i := range tb.Versions {
		if tb.Versions[i].ID == (abt2.VersionID{Module: m, Number: n}) {
			return &tb.Versions[i]
		}
	}
	return nil
}

func environment(tb *abt2.Table, id abt2.EnvironmentID) *abt2.TableEnvironment {
	for i := range tb.Environments {
		if tb.Environments[i].ID == id {
			return &tb.Environments[i]
		}
	}
	return nil
}

func mustVersion(s string) abt2.VersionID {
	v, err := abt2.ParseVersionID(s)
	if err != nil {
		panic(err)
	}
	return v
}

// deadAddress is one that nobody listens on.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// seen is how a request arrived at a module.
type seen struct {
	Version string // of the module
	Method  string
	URI     string
	Host    string
	Proto   string
	Header  http.Header
	Trailer http.Header
	Body    string // of short bodies
	Sum     string // sha256 of the body

	keptTrailers bool // the gateway is known to pass them on
}

// env is the environment that the request is stamped with, or why that is not
// clear.
func (s seen) env() string {
	own := s.Header["Abt2-Env"]
	if len(own) != 1 {
		return fmt.Sprintf("%d stamps %q", len(own), own)
	}
	member := ""
	for _, v := range s.Header["Baggage"] {
		for m := range strings.SplitSeq(v, ",") {
			if k, val, _ := strings.Cut(strings.TrimSpace(m), "="); k == "abt2.env" {
				member += val
			}
		}
	}
	if member != own[0] {
		return fmt.Sprintf("Abt2-Env %q, baggage %q", own[0], s.Header["Baggage"])
	}
	return unlabelled(own[0])
}

// unlabelled is the environment of a stamp, which a dot and a label may follow.
func unlabelled(stamp string) string {
	id, _, _ := strings.Cut(stamp, ".")
	return id
}

// request is one request to the gateway.
type request struct {
	method, path, host, body string
	header                   http.Header
	http2                    bool
}

// answer is what came back. seen is zero unless a module answered.
type answer struct {
	status int
	header http.Header
	body   string
	seen   seen
}

func (g *gateway) get(t testing.TB, path string, header http.Header) answer {
	t.Helper()
	return g.do(t, request{path: path, header: header})
}

func (g *gateway) do(t testing.TB, r request) answer {
	t.Helper()
	a, err := g.try(t.Context(), r)
	if err != nil {
		t.Fatalf("%s: %v", r.path, err)
	}
	return a
}

// try is do for goroutines other than the test's.
func (g *gateway) try(ctx context.Context, r request) (answer, error) {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	base := g.base(r.http2)
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, body)
	if err != nil {
		// Paths may be stranger than a client would send them.
		req, err = http.NewRequestWithContext(ctx, r.method, base, body)
		if err != nil {
			return answer{}, err
		}
	}
	path, query, _ := strings.Cut(r.path, "?")
	if req.URL.RawQuery = query; strings.Contains(path, "%") {
		req.URL.Opaque = "//" + req.URL.Host + path
	}
	if r.host != "" {
		req.Host = r.host
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	client := g.client
	if r.http2 {
		client = g.client2
	}
	return g.send(client, req)
}

func (g *gateway) send(client *http.Client, req *http.Request) (answer, error) {
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	return read(res)
}

// read reads an answer, and closes it.
func read(res *http.Response) (answer, error) {
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(b)}
	if res.Header.Get("Module") != "" && len(b) > 0 { // none to HEAD
		if err := json.Unmarshal(b, &a.seen); err != nil {
			return answer{}, fmt.Errorf("%w in %q", err, b)
		}
	}
	return a, nil
}

// module is one version of a module: a small program that tells how requests
// arrive, and refuses those that are for someone else.
type module struct {
	version  abt2.VersionID
	instance abt2.TableInstance
	arrived  chan struct{} // a stream has begun
	release  chan struct{} // a waiting stream may go on
}

func newModule(t testing.TB, v string) *module {
	t.Helper()
	m := &module{version: mustVersion(v), arrived: make(chan struct{}, 64), release: make(chan struct{}, 64)}
	srv := httptest.NewUnstartedServer(m)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	m.instance = abt2.TableInstance{ID: abt2.InstanceID(strings.ReplaceAll(v, "@", "-") + "-1"), Address: srv.Listener.Addr().String()}
	return m
}

func (m *module) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if to := r.Header["Abt2-To"]; len(to) != 1 || !strings.HasPrefix(to[0]+"/", m.version.String()+"/") {
		w.Header().Set("Abt2-Refused", "to")
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	w.Header().Set("From", m.version.String())
	switch r.URL.Query().Get("do") {
	case "events":
		m.events(w, r)
	case "websocket":
		m.websocket(w, r)
	case "echo":
		m.echo(w, r)
	case "large":
		_, _ = io.CopyN(w, zeros{}, largeBody) // a client that is gone fails its own test
	default:
		m.tell(w, r)
	}
}

// tell answers with how the request arrived.
func (m *module) tell(w http.ResponseWriter, r *http.Request) {
	var short bytes.Buffer
	sum := sha256.New()
	if r.URL.Query().Get("do") == "wait" {
		m.arrived <- struct{}{}
	}
	if _, err := io.Copy(io.MultiWriter(sum, &limited{&short}), r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, line := range r.URL.Query()["header"] {
		name, value, _ := strings.Cut(line, ":")
		w.Header().Set(name, value)
	}
	w.Header().Set("Module", m.version.String())
	_ = json.NewEncoder(w).Encode(seen{
		Version: m.version.String(), Method: r.Method, URI: r.RequestURI, Host: r.Host, Proto: r.Proto,
		Header: r.Header, Trailer: r.Trailer, Body: short.String(), Sum: hex.EncodeToString(sum.Sum(nil)),
	})
}

// events sends one event at once and another whenever it is released.
func (m *module) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		fmt.Fprintf(w, "data: %s\n\n", m.version)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-m.release:
		case <-r.Context().Done():
			return
		}
	}
}

// websocket answers every message with how the upgrade arrived.
func (m *module) websocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		b, err := json.Marshal(seen{Version: m.version.String(), Header: r.Header, Body: string(message)})
		if err != nil || c.Write(r.Context(), websocket.MessageText, b) != nil {
			return
		}
	}
}

// echo sends back what it receives as it comes, and its version as a trailer,
// as a gRPC stream would.
func (m *module) echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("Trailer", "Grpc-Status, Stream")
	_ = http.NewResponseController(w).Flush()
	buf := make([]byte, 1024)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
		}
		if err != nil {
			break
		}
	}
	w.Header().Set("Grpc-Status", "0")
	w.Header().Set("Stream", m.version.String()+" "+r.Header.Get("Abt2-Env")+" "+r.Proto)
}

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

const largeBody = 8 << 20

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// limited keeps the first bytes of a body.
type limited struct{ b *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) <= 1024 {
		l.b.Write(p)
	}
	return len(p), nil
}
