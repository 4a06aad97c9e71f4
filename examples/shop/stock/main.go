// Command stock is the shop's last hop: it knows how many of each product are
// left, and tells by gRPC and by HTTP at one port.
package main

import (
	"context"
	"net/http"
	"os"

	"google.golang.org/grpc"

	"abt2.dev/examples/shop/hop"
	"abt2.dev/examples/shop/stock/stockpb"
)

func main() { os.Exit(hop.Main(hop.Module{Name: "stock", Routes: routes, Services: services})) }

// left is what there is of each product, by id.
var left = map[string]int32{"tea": 12, "cup": 40, "kettle": 3, "honey": 7}

// Stock is the answer of GET /stock.
type Stock struct {
	Left map[string]int32 `json:"left"` // by product id
	Hops []hop.Hop        `json:"hops"`
}

func routes(n *hop.Node) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stock", func(w http.ResponseWriter, r *http.Request) {
		hop.Answer(w, Stock{Left: left, Hops: []hop.Hop{n.Here(r.Context())}})
	})
	return mux, nil
}

func services(n *hop.Node, r grpc.ServiceRegistrar) {
	stockpb.RegisterStockServiceServer(r, service{node: n})
}

// service is the same by gRPC.
type service struct {
	stockpb.UnimplementedStockServiceServer
	node *hop.Node
}

func (s service) List(ctx context.Context, _ *stockpb.ListRequest) (*stockpb.ListResponse, error) {
	h := s.node.Here(ctx)
	return &stockpb.ListResponse{Left: left, Hops: []*stockpb.Hop{
		{Module: h.Module, Version: h.Version, Environment: h.Environment, Instance: h.Instance},
	}}, nil
}
