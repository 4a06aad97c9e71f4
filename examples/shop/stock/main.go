// Command stock is the shop's last hop: it knows how many of each product are left.
package main

import (
	"net/http"
	"os"

	"abt2.dev/examples/shop/hop"
)

func main() { os.Exit(hop.Main("stock", routes)) }

// Stock is the answer of GET /stock.
type Stock struct {
	Left map[string]int `json:"left"` // by product id
	Hops []hop.Hop      `json:"hops"`
}

func routes(n *hop.Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, r *http.Request) {
		hop.Answer(w, Stock{
			Left: map[string]int{"tea": 12, "cup": 40, "kettle": 3, "honey": 7},
			Hops: []hop.Hop{n.Here(r)},
		})
	})
	return mux
}
