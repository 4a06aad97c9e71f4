// Command order knows the shop's products and what they cost. It asks stock
// by gRPC what is left.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"

	"abt2.dev/examples/shop/hop"
	"abt2.dev/examples/shop/stock/stockpb"
)

// Set by -ldflags "-X main.discount=20", so that two builds can be told apart.
var discount = "0" // percent off every price

func main() { os.Exit(hop.Main(hop.Module{Name: "order", Routes: routes})) }

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

func routes(n *hop.Node) (http.Handler, error) {
	conn, err := n.Dial("stock")
	if err != nil {
		return nil, err
	}
	stock := stockpb.NewStockServiceClient(conn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products", func(w http.ResponseWriter, r *http.Request) {
		list, err := stock.List(r.Context(), &stockpb.ListRequest{})
		if err != nil {
			hop.Fail(w, fmt.Errorf("stock: %w", err))
			return
		}
		hops := []hop.Hop{n.Here(r.Context())}
		for _, h := range list.GetHops() {
			hops = append(hops, hop.Hop{
				Module: h.GetModule(), Version: h.GetVersion(), Environment: h.GetEnvironment(), Instance: h.GetInstance(),
			})
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
			p.Left = int(list.GetLeft()[p.ID])
		}
		hop.Answer(w, Products{Discount: off, Products: products, Hops: hops})
	})
	return mux, nil
}
