package bfetest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// standIn stands for a BFE where none is at hand: its files, its monitor port
// and its way of a request, as far as the driver's tests look. What it has of
// BFE's behaviour is in behaviour_test.go, which runs against the real one, too.
type standIn struct {
	place    *Place
	data     atomic.Pointer[serverData]
	balance  atomic.Pointer[balanceData]
	headers  atomic.Pointer[headerData]
	plain    *http.Transport
	grpc     *http.Transport
	next     atomic.Uint64 // turns of instances
	servers  []*http.Server
	finished sync.WaitGroup
}

// Files of a folder, where bfe.conf says that they are.
const (
	routeRuleFile   = "server_data_conf/route_rule.data"
	clusterConfFile = "server_data_conf/cluster_conf.data"
	gslbDataFile    = "cluster_conf/gslb.data"
	headerRuleFile  = "mod_header/header_rule.data"
)

// serverData is what one reload of server_data_conf swaps at once.
type serverData struct {
	host struct {
		Version        *string
		DefaultProduct *string
		Hosts          map[string][]string
		HostTags       map[string][]string
	}
	vip   struct{ Version *string }
	route struct {
		Version     *string
		ProductRule map[string][]struct{ Cond, ClusterName *string }
	}
	cluster struct {
		Version *string
		Config  map[string]struct{ BackendConf struct{ Protocol string } }
	}
	products map[string]string // by host
	rules    map[string][]standInRule
}

type standInRule struct {
	cond    ast.Expr
	cluster string
}

type balanceData struct {
	table struct {
		Version *string
		Config  map[string]map[string][]struct {
			Addr   string
			Port   int
			Weight int
		}
	}
	gslb struct {
		Clusters map[string]map[string]int
		Ts       *string
	}
}

type headerData struct {
	Version *string
	Config  map[string][]struct {
		Cond    string
		Actions []struct {
			Cmd    string
			Params []string
		}
		Last bool
		cond ast.Expr
	}
}

func startStandIn(p *Place) (*standIn, error) {
	s := &standIn{place: p, plain: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128}}
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	s.grpc = &http.Transport{DisableCompression: true, Protocols: h2}
	for _, part := range []string{"server_data_conf", "gslb_data_conf", "mod_header", "name_conf"} {
		if err := s.load(part, ""); err != nil {
			return nil, err
		}
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(p.Dir, "tls_conf/cert.pem"), filepath.Join(p.Dir, "tls_conf/key.pem"))
	if err != nil {
		return nil, err
	}
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	quiet := log.New(io.Discard, "", 0)
	for _, x := range []struct {
		address string
		server  *http.Server
	}{
		{p.HTTP, &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: quiet}},
		{p.HTTPS, &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: quiet, Protocols: both,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: tls.VersionTLS12}}},
		{p.Monitor, &http.Server{Handler: http.HandlerFunc(s.monitor), ErrorLog: quiet}},
	} {
		l, err := net.Listen("tcp", x.address)
		if err != nil {
			s.kill()
			return nil, err
		}
		s.servers = append(s.servers, x.server)
		s.finished.Go(func() {
			if x.server.TLSConfig != nil {
				_ = x.server.ServeTLS(l, "", "")
			} else {
				_ = x.server.Serve(l)
			}
		})
	}
	return s, nil
}

func (s *standIn) kill() {
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	s.finished.Wait()
	s.plain.CloseIdleConnections()
	s.grpc.CloseIdleConnections()
}

// monitor answers 200 whatever happened, and escapes nothing.
func (s *standIn) monitor(w http.ResponseWriter, r *http.Request) {
	what, part, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	d, b := s.data.Load(), s.balance.Load()
	switch {
	case what == "reload":
		if err := s.load(part, r.URL.Query().Get("path")); err != nil {
			fmt.Fprintf(w, `{"error":"%s"}`, err)
			return
		}
		fmt.Fprint(w, `{"error":null}`)
	case part == "host_table_version":
		fmt.Fprintf(w, `{"HostTag":%q,"Vip":%q,"ProductRoute":%q}`, *d.host.Version, *d.vip.Version, *d.route.Version)
	case part == "cluster_table_version":
		fmt.Fprintf(w, `{"ClusterConfVer":%q}`, *d.cluster.Version)
	case part == "bal_table_version":
		fmt.Fprintf(w, `{"ClusterTableConfVer":%q,"GslbConfTimeStamp":%q,"GslbConfSrc":""}`, *b.table.Version, *b.gslb.Ts)
	default:
		fmt.Fprintf(w, `{"error":"invalid command [%s]"}`, part)
	}
}

// load loads a part from where it lies, or from beside.
func (s *standIn) load(part, from string) error {
	read := func(name string, into any) error {
		path := filepath.Join(s.place.Dir, name)
		switch {
		case from != "" && (part == "mod_header" || part == "name_conf"):
			path = from
		case from != "":
			path = filepath.Join(from, filepath.Base(name))
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, into)
	}
	switch part {
	case "server_data_conf":
		d := &serverData{}
		err := errors.Join(read("server_data_conf/host_rule.data", &d.host), read("server_data_conf/vip_rule.data", &d.vip),
			read(routeRuleFile, &d.route), read(clusterConfFile, &d.cluster))
		if err == nil {
			err = d.build()
		}
		if err == nil {
			s.data.Store(d)
		}
		return err
	case "gslb_data_conf":
		b := &balanceData{}
		err := errors.Join(read("cluster_conf/cluster_table.data", &b.table), read(gslbDataFile, &b.gslb))
		if err == nil && (b.table.Version == nil || b.gslb.Ts == nil) {
			err = errors.New("no Version")
		}
		if err == nil {
			s.balance.Store(b)
		}
		return err
	case "mod_header":
		h := &headerData{}
		if err := read(headerRuleFile, h); err != nil {
			return err
		}
		for _, rules := range h.Config {
			for i := range rules {
				var err error
				if rules[i].cond, err = condition(rules[i].Cond); err != nil {
					return err
				}
			}
		}
		s.headers.Store(h)
		return nil
	case "name_conf":
		return read("server_data_conf/name_conf.data", &struct{}{})
	}
	return fmt.Errorf("invalid command [%s]", part)
}

func (d *serverData) build() error {
	if d.host.Version == nil || d.vip.Version == nil || d.route.Version == nil || d.cluster.Version == nil {
		return errors.New("no Version")
	}
	d.products, d.rules = map[string]string{}, map[string][]standInRule{}
	for product, tags := range d.host.HostTags {
		for _, tag := range tags {
			for _, host := range d.host.Hosts[tag] {
				d.products[host] = product
			}
		}
	}
	for product, rules := range d.route.ProductRule {
		for _, r := range rules {
			cond, err := condition(*r.Cond)
			if err != nil {
				return fmt.Errorf("hostTableLoad Error error build [%s] [%w]", *r.Cond, err)
			}
			// That a cluster is in gslb is not looked at.
			if _, ok := d.cluster.Config[*r.ClusterName]; !ok {
				return fmt.Errorf("ServerDataConf.check Error cluster[%s] in advanced route should exist in cluster_conf", *r.ClusterName)
			}
			d.rules[product] = append(d.rules[product], standInRule{cond, *r.ClusterName})
		}
	}
	return nil
}

// primitives are those that the driver uses.
var primitives = map[string]func(r *http.Request, args []string) bool{
	"default_t":         func(*http.Request, []string) bool { return true },
	"req_header_key_in": func(r *http.Request, a []string) bool { return r.Header.Get(a[0]) != "" },
	"req_header_value_in": func(r *http.Request, a []string) bool {
		return anyOf(a[1], func(v string) bool { return equal(r.Header.Get(a[0]), v, a[2]) })
	},
	"req_header_value_prefix_in": func(r *http.Request, a []string) bool {
		got := r.Header.Get(a[0])
		return anyOf(a[1], func(v string) bool { return len(got) >= len(v) && equal(got[:len(v)], v, a[2]) })
	},
	"req_cookie_key_in": func(r *http.Request, a []string) bool { _, err := r.Cookie(a[0]); return err == nil },
	"req_cookie_value_in": func(r *http.Request, a []string) bool {
		c, err := r.Cookie(a[0]) // the first
		return err == nil && anyOf(a[1], func(v string) bool { return equal(c.Value, v, a[2]) })
	},
	"req_path_element_prefix_in": func(r *http.Request, a []string) bool {
		return anyOf(a[0], func(v string) bool {
			return strings.HasPrefix(strings.TrimSuffix(r.URL.Path, "/")+"/", strings.TrimSuffix(v, "/")+"/")
		})
	},
}

func anyOf(alternatives string, ok func(string) bool) bool {
	for v := range strings.SplitSeq(alternatives, "|") {
		if ok(v) {
			return true
		}
	}
	return false
}

func equal(a, b, fold string) bool { return a == b || fold == "true" && strings.EqualFold(a, b) }

// condition parses BFE's language, whose expressions are also Go's.
func condition(text string) (ast.Expr, error) {
	e, err := parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	ast.Inspect(e, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if name := call.Fun.(*ast.Ident).Name; primitives[name] == nil {
				err = fmt.Errorf("1:1 primitive %s not found", name)
			}
		}
		return true
	})
	return e, err
}

func matches(e ast.Expr, r *http.Request) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return matches(e.X, r)
	case *ast.UnaryExpr:
		return !matches(e.X, r)
	case *ast.BinaryExpr:
		if e.Op == token.LAND {
			return matches(e.X, r) && matches(e.Y, r)
		}
		return matches(e.X, r) || matches(e.Y, r)
	case *ast.CallExpr:
		var args []string
		for _, a := range e.Args {
			switch a := a.(type) {
			case *ast.BasicLit:
				s, _ := strconv.Unquote(a.Value)
				args = append(args, s)
			case *ast.Ident:
				args = append(args, a.Name)
			}
		}
		return primitives[e.Fun.(*ast.Ident).Name](r, args)
	}
	return false
}

// locate finds the cluster of a request; empty: there is none.
func (d *serverData) locate(r *http.Request) (product, cluster string) {
	host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
	product, ok := d.products[host]
	if !ok && d.host.DefaultProduct != nil {
		product = *d.host.DefaultProduct
	}
	for _, rule := range d.rules[product] {
		if matches(rule.cond, r) {
			return product, rule.cluster
		}
	}
	return product, ""
}

// do does the rules of mod_header, those for requests or those for answers.
func (h *headerData) do(kind string, r *http.Request, product, cluster string, into http.Header) {
	for _, list := range []string{"global", product} {
		for _, rule := range h.Config[list] {
			var mine bool
			matched := matches(rule.cond, r)
			for _, a := range rule.Actions {
				if !strings.HasPrefix(a.Cmd, kind) {
					continue
				}
				if mine = true; !matched {
					continue
				}
				switch strings.TrimPrefix(a.Cmd, kind) {
				case "_HEADER_SET":
					into.Set(a.Params[0], strings.ReplaceAll(a.Params[1], "%bfe_cluster", cluster))
				case "_HEADER_DEL":
					into.Del(a.Params[0])
				case "_COOKIE_DEL":
					deleteCookie(r, a.Params[0])
				}
			}
			if mine && matched && rule.Last {
				break
			}
		}
	}
}

func deleteCookie(r *http.Request, name string) {
	if _, err := r.Cookie(name); err != nil {
		return
	}
	all := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range all {
		if c.Name != name {
			r.AddCookie(c)
		}
	}
}

func (s *standIn) serve(w http.ResponseWriter, r *http.Request) {
	d := s.data.Load() // stays for the whole request
	product, cluster := d.locate(r)
	conf, known := d.cluster.Config[cluster]
	upgrade := r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade")
	if upgrade {
		product = "" // mod_header does not see it
	} else if known {
		s.headers.Load().do("REQ", r, product, cluster, r.Header)
	}
	answer := func(h http.Header) {
		if !upgrade {
			s.headers.Load().do("RSP", r, product, cluster, h)
		}
	}
	addresses := s.balance.Load().instances(cluster)
	if !known || len(addresses) == 0 {
		if upgrade {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				c.Close()
			}
			return
		}
		w.Header().Set("Server", "bfe")
		answer(w.Header())
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	transport := s.plain
	if conf.BackendConf.Protocol == "h2c" {
		transport = s.grpc
	}
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if !upgrade {
			r.Header.Del("Connection") // BFE does not heed which headers it names
			r.Header.Del("Upgrade")
		}
	}
	(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", addresses[0], p.In.Host
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			if p.In.ProtoMajor == 1 {
				p.Out.Trailer = nil // those are not passed on
			}
		},
		Transport:     attempts{transport, addresses, int(s.next.Add(1))},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ModifyResponse: func(res *http.Response) error {
			answer(res.Header)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			answer(w.Header())
			w.WriteHeader(http.StatusInternalServerError)
		},
	}).ServeHTTP(w, r)
}

// instances are those that gslb lets requests to; none: it lacks the cluster, or
// has them fall into the hole.
func (b *balanceData) instances(cluster string) []string {
	var out []string
	for group, weight := range b.gslb.Clusters[cluster] {
		if weight <= 0 {
			continue
		}
		for _, i := range b.table.Config[cluster][group] {
			out = append(out, i.Addr+":"+strconv.Itoa(i.Port))
		}
	}
	return out
}

// attempts tries one instance after the other while they refuse connections.
type attempts struct {
	*http.Transport
	addresses []string
	first     int
}

func (a attempts) RoundTrip(r *http.Request) (res *http.Response, err error) {
	for i := range a.addresses {
		again := r.Clone(r.Context())
		again.URL.Host = a.addresses[(a.first+i)%len(a.addresses)]
		body := &untouched{ReadCloser: again.Body}
		if again.Body != nil && again.Body != http.NoBody {
			again.Body = body
		}
		if res, err = a.Transport.RoundTrip(again); err == nil || body.touched.Load() || errors.Is(err, context.Canceled) {
			return res, err
		}
	}
	return res, err
}

// untouched does not close a body that nobody has read of.
type untouched struct {
	io.ReadCloser
	touched atomic.Bool
}

func (u *untouched) Read(p []byte) (int, error) { u.touched.Store(true); return u.ReadCloser.Read(p) }

func (u *untouched) Close() error {
	if u.touched.Load() {
		return u.ReadCloser.Close()
	}
	return nil
}
