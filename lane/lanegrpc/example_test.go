package lanegrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"abt2.dev/lane"
	"abt2.dev/lane/lanegrpc"
)

// stock is any gRPC service.
type stock struct {
	testpb.UnimplementedTestServiceServer
}

func (stock) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	env, _ := lane.Environment(ctx)
	return &testpb.SimpleResponse{ServerId: fmt.Sprintf("12 left in environment %d", env)}, nil
}

// A module serves gRPC within the environment of each call, and calls other
// modules by their names. Here, outside abt2, stock has a static address.
func Example() {
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	l, err := lane.Join(ctx, lane.Static(map[string][]string{"stock": {listener.Addr().String()}}))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close(ctx) }()

	server := grpc.NewServer(lanegrpc.ServerOptions(l)...)
	testpb.RegisterTestServiceServer(server, stock{})
	go func() { _ = server.Serve(listener) }()
	defer server.GracefulStop()

	conn, err := grpc.NewClient("abt2:///stock", lanegrpc.DialOptions(l)...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	// In a handler this is the request's context, in which the environment is already.
	res, err := testpb.NewTestServiceClient(conn).UnaryCall(lane.WithEnvironment(ctx, 42), &testpb.SimpleRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.GetServerId())
	// Output: 12 left in environment 42
}
