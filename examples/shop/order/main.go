// Command order knows the shop's products and what they cost. It asks stock
// what is left.
package main

import (
	"net/http"
	"os"
	"strconv"

	"abt2.dev/examples/shop/hop"
)

// Set by -ldflags "-X main.discount=20", so that two builds can be told apart.
var discount = "0" // percent off every price

func main() { os.Exit(hop.Main("order", routes)) }

// Products is the answer of GET /products.
type Products struct {
	Discount int       `json:"discount"` // percent
	Products []Product `json:"products"`
	Hops     []hop.Hop `json:"hops"`
}

// Product is one thing on sale.
type Product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
	Left  int    `json:"left"`
}

func routes(n *hop.Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products", func(w http.ResponseWriter, r *http.Request) {
		var stock struct {
			Left map[string]int `json:"left"`
			Hops []hop.Hop      `json:"hops"`
		}
		if err := n.Get(r.Context(), "http://stock/stock", &stock); err != nil {
			hop.Fail(w, err)
			return
		}
		off, _ := strconv.Atoi(discount)
		products := []Product{
			{ID: "tea", Name: "Oolong tea", Cents: 1800},
			{ID: "cup", Name: "Porcelain cup", Cents: 950},
			{ID: "kettle", Name: "Iron kettle", Cents: 6400},
			{ID: "honey", Name: "Acacia honey", Cents: 720},
		}
		for i := range products {
			p := &products[i]
			p.Cents = p.Cents * (100 - off) / 100
			p.Left = stock.Left[p.ID]
		}
		hop.Answer(w, Products{Discount: off, Products: products, Hops: append([]hop.Hop{n.Here(r)}, stock.Hops...)})
	})
	return mux
}
