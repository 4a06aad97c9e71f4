package edge

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"abt2.dev"
	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// The paths that the edge answers itself. What else lies under ReservedPrefix
// does not exist.
const (
	herePath  = abt2.ReservedPrefix
	enterPath = abt2.ReservedPrefix + "/enter"
	leavePath = abt2.ReservedPrefix + "/leave"
)

//go:embed pages/*.html
var pageFiles embed.FS

func parsePages() (*template.Template, error) { return template.ParseFS(pageFiles, "pages/*.html") }

// here is what the page at herePath shows.
type here struct {
	Product, Env, Role string
	Token              bool // the request brought one
	Unknown            bool // which selects nothing
	Share              bool // of the visitors brought the request here
	Leave              string
	Modules            []hereModule
}

type hereModule struct{ Name, Version, Prefix string }

// reserved answers a request under ReservedPrefix.
func (x *exchange) reserved(token string) {
	x.Header().Set(stamp.EdgeHeader, x.s.cfg.ID)
	if x.in.Method != http.MethodGet && x.in.Method != http.MethodHead {
		x.Header().Set("Allow", "GET, HEAD")
		x.refuse(refuseMethod)
		return
	}
	switch strings.TrimSuffix(x.in.URL.Path, "/") {
	case herePath:
		x.here(token)
	case enterPath:
		x.enter()
	case leavePath:
		x.leave()
	case abt2.ConnectedPath:
		x.connected()
	default:
		x.refuse(refusePath)
	}
}

func (x *exchange) here(token string) {
	d, no := x.routes.find(x.in, "", token, false)
	x.dest = destination{product: d.product, env: d.env}
	if d.env == nil && no != nil {
		x.refuse(no)
		return
	}
	if d.token {
		x.served = d.env.served
	}
	if d.visit.visitor != "" {
		d.env = x.routes.environments[d.product.Online.ID] // who visits no more than this page is nowhere else
	}
	page := here{
		Product: d.product.Name, Env: d.env.name, Role: string(d.env.Role),
		Token: d.token, Unknown: d.token && !d.chosen, Leave: leavePath, Share: !d.token && d.env.Role != route.RoleOnline,
	}
	for _, m := range d.env.Modules() {
		v := d.env.Version(m)
		page.Modules = append(page.Modules, hereModule{m, v.ID, v.Prefix})
	}
	x.page(http.StatusOK, "here", page)
}

// enter turns a token in a link into a cookie.
func (x *exchange) enter() {
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address of this page holds the token
	query, err := url.ParseQuery(x.in.URL.RawQuery)
	if err != nil {
		x.refuse(refuseInput("The link's parameters cannot be read; copy the whole link."))
		return
	}
	token, to := query.Get("token"), query.Get("to")
	if to == "" {
		to = "/"
	}
	switch {
	case len(query["token"]) != 1 || !isToken(token):
		x.refuse(refuseNoToken)
		return
	case len(query["to"]) > 1 || !isLocalTarget(to):
		x.refuse(refuseTarget)
		return
	}
	p, no := x.routes.productOf(x.in.Host)
	if no != nil {
		x.refuse(no)
		return
	}
	x.dest.product = p
	e, ok := x.routes.selected(p, token)
	switch {
	case !ok && !x.s.metrics.connected.Load():
		x.refuse(refuseLost)
		return
	case !ok:
		x.refuse(refuseGone)
		return
	}
	x.dest.env = e
	x.setCookie(token, 0)
	h.Set("Location", to)
	x.own = true
	x.WriteHeader(http.StatusSeeOther)
}

// leave forgets the cookie.
func (x *exchange) leave() {
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	x.setCookie("", -1)
	h.Set("Location", "/")
	x.own = true
	x.WriteHeader(http.StatusSeeOther)
}

// connected says whether an unknown token is one that nobody has given, for a
// gateway in front of this edge. That it is not is no request that failed.
func (x *exchange) connected() {
	x.own = true
	x.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	if !x.s.metrics.connected.Load() {
		status = http.StatusServiceUnavailable
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) setCookie(token string, maxAge int) {
	http.SetCookie(x, &http.Cookie{
		Name: tokenCookie, Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: x.s.cfg.secure(),
	})
}

// isLocalTarget reports whether a redirect to a path stays on this host, for a
// browser too, which reads a backslash as a slash, drops control characters, and
// takes // for the beginning of a host. What is not ASCII must come encoded.
func isLocalTarget(to string) bool {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || len(to) > 2048 {
		return false
	}
	for i := range len(to) {
		if c := to[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	u, err := url.Parse(to)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && u.Opaque == ""
}

// refuse answers in place of a module: a page to a browser, a line of text to
// other clients, a status of their own to gRPC clients.
func (x *exchange) refuse(r *refusal) {
	x.own = true
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	x.mark(h)
	if r.retry {
		h.Set("Retry-After", "1")
	}
	if isGRPC(x.in) {
		x.refuseGRPC(r)
		return
	}
	if acceptsHTML(x.in) {
		x.page(r.status, "refusal", struct{ Title, Text, Status string }{
			strings.ToUpper(r.title[:1]) + r.title[1:], r.text, strconv.Itoa(r.status) + " " + http.StatusText(r.status),
		})
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	x.WriteHeader(r.status)
	if x.in.Method != http.MethodHead {
		_, _ = x.Write([]byte("abt2: " + r.title + ". " + r.text + "\n")) // a client that is gone needs no answer
	}
}

// refuseGRPC answers with trailers only, as a gRPC server does.
func (x *exchange) refuseGRPC(r *refusal) {
	code := "14" // UNAVAILABLE
	switch r.status {
	case http.StatusBadRequest:
		code = "3" // INVALID_ARGUMENT
	case http.StatusNotFound:
		code = "12" // UNIMPLEMENTED
	}
	h := x.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", code)
	h.Set("Grpc-Message", r.title)
	x.ResponseWriter.WriteHeader(http.StatusOK)
	x.status = r.status // for whoever counts
}

func (x *exchange) page(status int, name string, data any) {
	var b bytes.Buffer
	if err := x.s.pages.ExecuteTemplate(&b, name, data); err != nil {
		x.failure = err
		status = http.StatusInternalServerError
		b.Reset()
	}
	x.own = true
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	x.mark(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	x.WriteHeader(status)
	if x.in.Method != http.MethodHead {
		_, _ = b.WriteTo(x) // a client that is gone needs no answer
	}
}

func acceptsHTML(r *http.Request) bool {
	for _, v := range r.Header["Accept"] {
		if strings.Contains(v, "text/html") {
			return true
		}
	}
	return false
}
