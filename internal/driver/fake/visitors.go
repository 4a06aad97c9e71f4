package fake

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"abt2.dev"
)

// visit is what is done with a visitor of a product that has a share or skew
// protection.
type visit struct {
	online  abt2.EnvironmentID
	page    bool          // it asks for a page
	visitor string        // a new cookie; empty: none
	sign    func() string // the cookie of a page; nil: no skew protection
}

// receive changes d.env to that of the page the request belongs to, or of the
// share that its visitor is in.
func receive(routes *abt2.EdgeRoutes, p *abt2.TableProduct, d *destination, r *http.Request) *visit {
	share, shared := routes.Shares[p.Name]
	skew, kept := routes.Skew[p.Name]
	if !shared && !kept {
		return nil
	}
	t := &routes.Table
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	v := &visit{online: p.Online, page: mode == "navigate" && dest != "iframe" || mode == "" && strings.Contains(r.Header.Get("Accept"), "text/html")}
	if kept {
		v.sign = func() string { return skew.Sign(t.Mark.Epoch, p.Name, d.env.ID, time.Now()) }
		if c, err := r.Cookie(abt2.PageCookie); err == nil && !v.page {
			id := skew.Open(t.Mark.Epoch, p.Name, c.Value, time.Now())
			if id != 0 && (id == p.Online || id == p.Backup || shared && id == share.Environment) {
				d.env = environmentOf(t, id)
				return v
			}
		}
	}
	if !shared {
		return v
	}
	c, err := r.Cookie(abt2.VisitorCookie)
	switch {
	case err == nil && isToken.MatchString(c.Value):
	case v.page:
		v.visitor = rand.Text()
		c = &http.Cookie{Value: v.visitor}
	default:
		return v
	}
	if share.Takes(c.Value) {
		d.env = environmentOf(t, share.Environment)
	}
	return v
}

// answer gives the browser its cookies and keeps caches from mixing.
func (v *visit) answer(h http.Header, env abt2.EnvironmentID) {
	set := v.visitor != ""
	if set {
		h.Add("Set-Cookie", abt2.VisitorCookie+"="+v.visitor+"; Path=/; HttpOnly; SameSite=Lax")
	}
	if media, _, _ := strings.Cut(h.Get("Content-Type"), ";"); v.page && v.sign != nil && media == "text/html" {
		h.Add("Set-Cookie", abt2.PageCookie+"="+v.sign()+"; Path=/; HttpOnly; SameSite=Lax")
		set = true
	}
	if !set && strings.Contains(h.Get("Cache-Control"), "immutable") {
		return
	}
	if set || env != v.online {
		h.Set("Cache-Control", "private")
	}
	h.Add("Vary", "Cookie")
}
