// Command api is the shop's edge for programs: everything under /api, as JSON.
package main

import (
	"encoding/json"
	"net/http"
	"os"

	"abt2.dev/examples/shop/hop"
)

func main() { os.Exit(hop.Main(hop.Module{Name: "api", Routes: routes})) }

func routes(n *hop.Node) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/where", func(w http.ResponseWriter, r *http.Request) {
		hop.Answer(w, struct {
			Hops []hop.Hop `json:"hops"`
		}{[]hop.Hop{n.Here(r.Context())}})
	})
	mux.HandleFunc("GET /api/products", func(w http.ResponseWriter, r *http.Request) {
		var order struct {
			Discount int             `json:"discount"`
			Products json.RawMessage `json:"products"`
			Hops     []hop.Hop       `json:"hops"`
		}
		if err := n.Get(r.Context(), "http://order/products", &order); err != nil {
			hop.Fail(w, err)
			return
		}
		order.Hops = append([]hop.Hop{n.Here(r.Context())}, order.Hops...)
		hop.Answer(w, order)
	})
	return mux, nil
}
