package edge

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// visiting is what is done with the visitors of a product that bring no token.
type visiting struct {
	epoch   string
	product abt2.ProductName
	to      *environment // of the share; nil: there is none
	share   abt2.VisitorShare
	skew    abt2.Skew // the zero value: off
}

// visit is what is done with one request of a visitor, and with its answer.
type visit struct {
	rules   *visiting // nil: nothing
	page    bool      // it asks for a page, not for what a page needs
	visitor string    // the visitor's new cookie; empty: has one, or needs none
}

// checkVisitors refuses what contradicts the table, or protects nothing.
func checkVisitors(m *feedpb.EdgeRoutes) error {
	products := map[uint64]string{} // by environment
	for _, e := range m.GetTable().GetEnvironments() {
		products[e.GetId()] = e.GetProduct()
	}
	for p, s := range m.GetVisitors().GetShares() {
		if products[s.GetEnvironment()] != p {
			return fmt.Errorf("a share of the visitors of product %s goes to environment %d, which is none of its own", p, s.GetEnvironment())
		}
		if n := s.GetParts(); n == 0 || n >= uint32(abt2.AllVisitors) {
			return fmt.Errorf("a share of the visitors of product %s is %d of %d", p, n, abt2.AllVisitors)
		}
	}
	for p, s := range m.GetVisitors().GetSkew() {
		if len(s.GetKey()) < abt2.SkewKeySize || s.GetKeepMs() == 0 {
			return fmt.Errorf("skew protection of product %s needs a key of %d bytes and a time", p, abt2.SkewKeySize)
		}
	}
	return nil
}

// compileVisiting takes from the message what is done with visitors.
func (r *routes) compileVisiting(m *feedpb.EdgeRoutes) {
	of := func(name string) *visiting {
		p := r.Product(name)
		if p == nil {
			return &visiting{} // of a product that no request is for
		}
		if r.visiting == nil {
			r.visiting = map[*route.Product]*visiting{}
		}
		if r.visiting[p] == nil {
			r.visiting[p] = &visiting{epoch: r.Mark().Epoch, product: abt2.ProductName(name)}
		}
		return r.visiting[p]
	}
	for p, s := range m.GetVisitors().GetShares() {
		v := of(p)
		v.to = r.environments[s.GetEnvironment()]
		v.share = abt2.VisitorShare{Environment: abt2.EnvironmentID(s.GetEnvironment()), Share: abt2.Share(s.GetParts()), Salt: s.GetSalt()}
	}
	for p, s := range m.GetVisitors().GetSkew() {
		of(p).skew = abt2.Skew{Keep: abt2.Duration(time.Duration(s.GetKeepMs()) * time.Millisecond), Key: s.GetKey()}
	}
}

// receive finds the environment of a request without a token, which is online
// so far: that of the page it belongs to, or else the one of the visitor.
func (r *routes) receive(d *destination, in *http.Request) {
	v := r.visiting[d.product]
	if v == nil {
		return
	}
	d.visit = visit{rules: v, page: asksForPage(in)}
	cookies := readVisitorCookies(in.Header)
	if !d.visit.page && v.skew.Keep != 0 && cookies.page != "" {
		if e := r.environments[uint64(v.skew.Open(v.epoch, v.product, cookies.page, time.Now()))]; v.keepsTo(e) {
			d.env = e
			return
		}
	}
	if v.to == nil {
		return
	}
	visitor := cookies.visitor
	if visitor == "" {
		if !d.visit.page {
			return // a client that keeps no cookies would be somewhere else each time
		}
		visitor = rand.Text()
		d.visit.visitor = visitor
	}
	if v.share.Takes(visitor) {
		d.env = v.to
	}
}

// keepsTo reports whether what belongs to a page of the environment, which may
// be nil, goes there: as long as it is online, the backup, or of the share. From
// one that a rollback has led away from, pages are not served any further.
func (v *visiting) keepsTo(e *environment) bool {
	return e != nil && e.Product.Name == string(v.product) && (e.Role == route.RoleOnline || e.Role == route.RoleBackup || e == v.to)
}

// asksForPage reports whether a request is a navigation of a browser's tab, by
// Fetch Metadata (W3C), or where the browser does not send it, as over plain
// HTTP, by what is accepted. A frame belongs to the page around it.
func asksForPage(r *http.Request) bool {
	mode := r.Header["Sec-Fetch-Mode"]
	if len(mode) == 0 {
		return acceptsHTML(r)
	}
	if mode[0] != "navigate" {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "fencedframe", "embed", "object":
		return false
	}
	return true
}
