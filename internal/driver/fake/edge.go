package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"sync"

	"abt2.dev"
)

// Edge is a gateway that keeps its routes in memory and serves real HTTP, as
// plainly as the contract can be fulfilled: nothing is prepared, every request
// searches the routes. Its methods may be called from several goroutines.
type Edge struct {
	server   *http.Server
	address  string
	one, two *http.Transport
	served   sync.WaitGroup

	mu     sync.Mutex
	routes []byte // JSON of the abt2.EdgeRoutes in use, so that nobody else holds a part of them; nil: none
	lost   bool
}

// NewEdge starts a gateway on a free loopback port. It runs until Close.
func NewEdge() (*Edge, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	e := &Edge{
		address: l.Addr().String(),
		one:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		two:     &http.Transport{DisableCompression: true, Protocols: h2},
	}
	e.serve(l)
	return e, nil
}

func (e *Edge) serve(l net.Listener) {
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	e.server = &http.Server{Handler: e, Protocols: both, ErrorLog: log.New(discard{}, "", 0)}
	e.served.Go(func() { _ = e.server.Serve(l) }) // ends with Close or Crash
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// Address is where the gateway serves users: host:port.
func (e *Edge) Address() string { return e.address }

// SetLost makes the gateway behave as one that cannot reach its server.
func (e *Edge) SetLost(lost bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = lost
}

// Close ends the gateway and every connection.
func (e *Edge) Close() error {
	err := e.server.Close()
	e.served.Wait()
	e.one.CloseIdleConnections()
	e.two.CloseIdleConnections()
	return err
}

// Crash ends every connection, and what has not been answered with it, and
// serves again at the same address what was served before. It must not be
// called together with Close.
func (e *Edge) Crash() error {
	if err := e.Close(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", e.address)
	if err != nil {
		return err
	}
	e.serve(l)
	return nil
}

// Drift makes an environment a product's online one, behind the back of Apply.
func (e *Edge) Drift(product abt2.ProductName, online abt2.EnvironmentID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.current()
	if err != nil {
		return err
	}
	for i := range r.Table.Products {
		if r.Table.Products[i].Name == product {
			r.Table.Products[i].Online = online
		}
	}
	e.routes, err = json.Marshal(r)
	return err
}

// Apply implements abt2.Edge.
func (e *Edge) Apply(_ context.Context, r abt2.EdgeRoutes) error {
	for _, id := range r.Tokens {
		if environmentOf(&r.Table, id) == nil {
			return abt2.Errorf(abt2.CodeInvalid, "a token selects environment %d, which the table lacks", id)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "routes cannot be encoded")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	have, err := e.current()
	if err != nil {
		return err
	}
	if is, next := have.Table.Mark, r.Table.Mark; is.Epoch == next.Epoch && next.Revision < is.Revision {
		return abt2.Errorf(abt2.CodeRefused, "routes of revision %d are older than %d, which are served", next.Revision, is.Revision)
	}
	e.routes = b
	return nil
}

// Abilities implements abt2.Abler.
func (e *Edge) Abilities() []abt2.Ability { return abt2.Abilities[:] }

// Read implements abt2.Edge.
func (e *Edge) Read(context.Context) (abt2.EdgeRoutes, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current()
}

func (e *Edge) current() (r abt2.EdgeRoutes, err error) {
	if e.routes == nil {
		return r, nil
	}
	if err := json.Unmarshal(e.routes, &r); err != nil {
		return r, abt2.Wrap(abt2.CodeInternal, err, "routes cannot be decoded")
	}
	return r, nil
}

// destination is where one request goes.
type destination struct {
	env       *abt2.TableEnvironment
	instances []abt2.TableInstance
	version   abt2.VersionID
	served    string // Abt2-Served of the answer; empty: none
	visit     *visit // nil: nothing is done with the visitor
}

// ServeHTTP routes one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	routes, err := e.current()
	lost := e.lost
	e.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	d, status, text := find(&routes, r, lost)
	if d.served != "" {
		w.Header().Set("Abt2-Served", d.served)
		w.Header().Set("Cache-Control", "private, no-store")
	}
	if status != 0 {
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		http.Error(w, text, status)
		return
	}
	e.forward(w, r, d)
}

func find(routes *abt2.EdgeRoutes, r *http.Request, lost bool) (d destination, status int, text string) {
	t := &routes.Table
	p := productOf(t, r.Host)
	if p == nil {
		return d, http.StatusServiceUnavailable, "not ready yet"
	}
	online := environmentOf(t, p.Online)
	token, ok := tokenOf(r.Header)
	if !ok {
		return d, http.StatusBadRequest, "the token is ambiguous"
	}
	if id, ok := routes.Tokens[token.Digest()]; ok && token != "" {
		if env := environmentOf(t, id); env != nil && env.Product == p.Name {
			d.env = env
		}
	}
	chosen := d.env != nil
	switch {
	case token != "" && !chosen && lost:
		return d, http.StatusServiceUnavailable, "the token cannot be checked"
	case online == nil || len(online.Modules) == 0 && !chosen:
		return d, http.StatusServiceUnavailable, "nothing online yet"
	case !chosen:
		d.env = online
		if token == "" {
			d.visit = receive(routes, p, &d, r)
		}
	}
	if token != "" {
		d.served = d.env.ID.String() + " " + string(p.Role(d.env.ID))
	}
	v := moduleOf(t, d.env, r.URL.Path)
	if v == nil {
		return d, http.StatusNotFound, "nothing here"
	}
	if len(v.Instances) == 0 && chosen && v.Fallback == abt2.FallbackOnline && !d.env.WasOnline {
		for _, id := range online.Modules {
			if id.Module == v.ID.Module {
				v = versionOf(t, id)
				d.served += "; fallback=" + id.String()
			}
		}
	}
	if len(v.Instances) == 0 {
		return d, http.StatusServiceUnavailable, "no healthy instance"
	}
	d.version, d.instances = v.ID, v.Instances
	return d, 0, ""
}

func productOf(t *abt2.Table, host string) *abt2.TableProduct {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	var fallback *abt2.TableProduct
	for i := range t.Products {
		p := &t.Products[i]
		for _, h := range p.Hosts {
			if strings.EqualFold(h, host) {
				return p
			}
		}
		if p.Name == abt2.DefaultProduct {
			fallback = p
		}
	}
	return fallback
}

func environmentOf(t *abt2.Table, id abt2.EnvironmentID) *abt2.TableEnvironment {
	for i := range t.Environments {
		if t.Environments[i].ID == id {
			return &t.Environments[i]
		}
	}
	return nil
}

func versionOf(t *abt2.Table, id abt2.VersionID) *abt2.TableVersion {
	for i := range t.Versions {
		if t.Versions[i].ID == id {
			return &t.Versions[i]
		}
	}
	return nil
}

// moduleOf returns the environment's version with the longest prefix of path.
func moduleOf(t *abt2.Table, e *abt2.TableEnvironment, path string) *abt2.TableVersion {
	var best *abt2.TableVersion
	for _, id := range e.Modules {
		v := versionOf(t, id)
		if v == nil || v.Prefix == "" || best != nil && len(v.Prefix) < len(best.Prefix) {
			continue
		}
		if rest, ok := strings.CutPrefix(path, v.Prefix); v.Prefix == "/" || ok && (rest == "" || rest[0] == '/') {
			best = v
		}
	}
	return best
}

// tokenOf returns the token that a request brings, "" for none; false: it does
// not say clearly which.
func tokenOf(h http.Header) (token abt2.Token, ok bool) {
	if values := h["Abt2-Token"]; len(values) > 0 {
		return abt2.Token(values[0]), len(values) == 1 && isToken.MatchString(values[0])
	}
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			value, found := strings.CutPrefix(strings.TrimSpace(pair), "abt2=")
			if !found || value == "" {
				continue
			}
			if !isToken.MatchString(value) || token != "" && token != abt2.Token(value) {
				return "", false
			}
			token = abt2.Token(value)
		}
	}
	return token, true
}

var isToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

var ourCookie = regexp.MustCompile(`(?i)^\s*abt2(-page|-visitor)?\s*(=|$)`)

// forward sends the request to one instance after the other until one takes it.
// A request with a body is sent to another only if nothing was listening.
func (e *Edge) forward(w http.ResponseWriter, r *http.Request, d destination) {
	transport := e.one
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") && r.ProtoMajor == 2 {
		transport = e.two
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.URL.RawQuery = "http", d.instances[0].Address, p.In.URL.RawQuery
			stampHeader(p.Out.Header, d)
			p.Out.Trailer = nil
		},
		Transport: attempts{transport, d},
		ModifyResponse: func(res *http.Response) error {
			res.Header.Del("Abt2-Served")
			if d.served != "" {
				res.Header.Del("Cache-Control") // the gateway's own stands already
			}
			if d.visit != nil {
				d.visit.answer(res.Header, d.env.ID)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		},
		ErrorLog: e.server.ErrorLog,
	}
	proxy.ServeHTTP(w, r)
}

// stampHeader replaces all that a request says about where it belongs.
func stampHeader(h http.Header, d destination) {
	for name := range h {
		if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "abt2-") {
			delete(h, name)
		}
	}
	members := "abt2.env=" + d.env.ID.String()
	for _, line := range h["Baggage"] {
		for member := range strings.SplitSeq(line, ",") {
			key, _, _ := strings.Cut(member, "=")
			key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), "%2e", ".")
			if key != "abt2.env" {
				members += "," + strings.TrimSpace(member)
			}
		}
	}
	cookies := ""
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if !ourCookie.MatchString(pair) {
				cookies += ";" + pair
			}
		}
	}
	h.Del("Cookie")
	if cookies = strings.Trim(cookies, "; "); cookies != "" {
		h.Set("Cookie", cookies)
	}
	h.Set("Baggage", members)
	h.Set("Abt2-Env", d.env.ID.String())
}

// attempts tries a request at several instances.
type attempts struct {
	transport *http.Transport
	d         destination
}

func (a attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	err := errors.New("no instance")
	for _, in := range a.d.instances {
		next := r.Clone(r.Context())
		next.URL.Host = in.Address
		if r.Body != nil {
			next.Body = io.NopCloser(r.Body) // an attempt that fails closes it
		}
		next.Header.Set("Abt2-To", fmt.Sprintf("%s/%s", a.d.version, in.ID))
		var res *http.Response
		if res, err = a.transport.RoundTrip(next); err == nil {
			if res.StatusCode != http.StatusMisdirectedRequest || res.Header.Get("Abt2-Refused") == "" {
				return res, nil
			}
			err = errors.New("instance " + string(in.ID) + " is someone else")
			_ = res.Body.Close()
		}
	}
	return nil, err
}
