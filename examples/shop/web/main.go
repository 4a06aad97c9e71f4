// Command web is the shop's edge for people: one page with the products, and
// below them the hops it took to make it.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"strings"

	"abt2.dev/examples/shop/hop"
)

// Set by -ldflags "-X main.season=summer -X main.colour=#c2571a", so that two
// builds can be told apart at a glance.
var (
	season = "spring"
	colour = "#2f7d4f"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"price": func(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) },
}).Parse(pageHTML))

func main() { os.Exit(hop.Main(hop.Module{Name: "web", Routes: routes})) }

// Page is the answer of GET /, as HTML or as JSON.
type Page struct {
	Season   string       `json:"season"`
	Colour   template.CSS `json:"colour"`
	Discount int          `json:"discount"` // percent
	Products []struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Cents int    `json:"cents"`
		Left  int    `json:"left"`
	} `json:"products"`
	Hops []hop.Hop `json:"hops"`
}

func routes(n *hop.Node) (http.Handler, error) {
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, r *http.Request) {
		p := Page{Season: season, Colour: template.CSS(colour)}
		if err := n.Get(r.Context(), "http://order/products", &p); err != nil {
			hop.Fail(w, err)
			return
		}
		p.Hops = append([]hop.Hop{n.Here(r.Context())}, p.Hops...)
		if r.URL.Path == "/json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
			hop.Answer(w, p)
			return
		}
		var b bytes.Buffer
		if err := page.Execute(&b, p); err != nil {
			hop.Fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	}
	mux.HandleFunc("GET /{$}", show)
	mux.HandleFunc("GET /json", show)
	return mux, nil
}
