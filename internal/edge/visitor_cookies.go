package edge

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"abt2.dev"
	"abt2.dev/lane/route"
)

// visitorCookies are the cookies of a request that say who visits, and which
// page needs something; empty: none, or none that we can have set.
type visitorCookies struct{ visitor, page string }

// maxPageCookie bounds what is taken for a page cookie.
const maxPageCookie = 96

// readVisitorCookies takes the first cookie of each name that has the form of
// ours.
func readVisitorCookies(h http.Header) (c visitorCookies) {
	for _, v := range h["Cookie"] {
		if !mayNameCookie(v) {
			continue
		}
		for pair := range strings.SplitSeq(v, ";") {
			switch name, value := cutPair(pair); {
			case name == abt2.VisitorCookie && c.visitor == "" && isToken(value):
				c.visitor = value
			case name == abt2.PageCookie && c.page == "" && len(value) <= maxPageCookie && !strings.ContainsFunc(value, notOfPageCookie):
				c.page = value
			}
		}
	}
	return c
}

func notOfPageCookie(r rune) bool {
	return r >= 0x80 || !isAlphanumeric(byte(r)) && r != '.' && r != '-' && r != '_'
}

// visitorAge is how long a visitor is known again, in seconds: longer than any
// share lasts.
const visitorAge = 30 * 24 * 60 * 60

// visited puts into a module's answer what the visitor's browser is to bring
// again, and keeps caches from giving it to others.
func (x *exchange) visited(res *http.Response) {
	v, h := &x.dest.visit, res.Header
	if res.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	set := false
	if v.visitor != "" {
		x.addCookie(h, abt2.VisitorCookie, v.visitor, visitorAge)
		set = true
	}
	if rules := v.rules; v.page && rules.skew.Keep != 0 && isHTML(h) {
		page := rules.skew.Sign(rules.epoch, rules.product, abt2.EnvironmentID(x.dest.env.ID), time.Now())
		x.addCookie(h, abt2.PageCookie, page, int(time.Duration(rules.skew.Keep)/time.Second))
		set = true
	}
	cacheControl := directives(h["Cache-Control"])
	if !set && hasDirective(cacheControl, "immutable") {
		return // RFC 8246: the same from every environment, for ever
	}
	if set || x.dest.env.Role != route.RoleOnline {
		makePrivate(h, cacheControl)
	}
	addVary(h, "Cookie")
}

func (x *exchange) addCookie(h http.Header, name, value string, maxAge int) {
	c := http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: x.s.cfg.secure(),
	}
	h.Add("Set-Cookie", c.String())
}

// isHTML reports whether an answer is a page.
func isHTML(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/html")
}

// directives splits the values of Cache-Control (RFC 9111, section 5.2).
// Commas within quotation marks separate nothing.
func directives(values []string) []string {
	var out []string
	for _, v := range values {
		for quoted, from, at := false, 0, 0; at <= len(v); at++ {
			switch {
			case at < len(v) && v[at] == '"':
				quoted = !quoted
			case at == len(v) || v[at] == ',' && !quoted:
				if part := strings.TrimSpace(v[from:at]); part != "" {
					out = append(out, part)
				}
				from = at + 1
			}
		}
	}
	return out
}

func hasDirective(list []string, name string) bool {
	return slices.ContainsFunc(list, func(d string) bool { return isDirective(d, name) })
}

func isDirective(d, name string) bool {
	d, _, _ = strings.Cut(d, "=")
	return strings.EqualFold(strings.TrimSpace(d), name)
}

// makePrivate lets only the visitor's own browser keep an answer, for as long
// as the module says.
func makePrivate(h http.Header, cacheControl []string) {
	out := "private"
	for _, d := range cacheControl {
		if !isDirective(d, "public") && !isDirective(d, "private") && !isDirective(d, "s-maxage") {
			out += ", " + d
		}
	}
	h["Cache-Control"] = []string{out}
	delete(h, "Cdn-Cache-Control") // RFC 9213: goes before Cache-Control
	delete(h, "Surrogate-Control")
}

// addVary names a request header that an answer depends on (RFC 9110, section 12.5.5).
func addVary(h http.Header, name string) {
	for _, v := range h["Vary"] {
		for field := range strings.SplitSeq(v, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}
