package hop

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"abt2.dev/lane"
	"abt2.dev/lane/lanegrpc"
)

// laptop is where the modules stand when nobody says otherwise: without abt2
// each can be started by hand, and they find one another here.
var laptop = map[string]string{
	"web":   "127.0.0.1:8081",
	"api":   "127.0.0.1:8082",
	"order": "127.0.0.1:8083",
	"stock": "127.0.0.1:8084",
}

// Node is one running module.
type Node struct {
	module, version, instance string
	lane                      *lane.Lane
	client                    *http.Client
	conns                     []*grpc.ClientConn
}

// Here is this module's part in answering a request with this context.
func (n *Node) Here(ctx context.Context) Hop {
	env, _ := lane.Environment(ctx)
	return Hop{Module: n.module, Version: n.version, Environment: env, Instance: n.instance}
}

// Dial returns a connection for gRPC calls to another module, which is closed
// when this one ends. It is called while the module starts.
func (n *Node) Dial(module string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("abt2:///"+module, lanegrpc.DialOptions(n.lane)...)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

// Module is what a module serves.
type Module struct {
	Name   string
	Routes func(*Node) (http.Handler, error)
	// Services registers what it serves by gRPC, at the same port; nil: nothing.
	Services func(*Node, grpc.ServiceRegistrar)
}

// Main runs a module until it is told to end, and returns the exit status.
// It listens on HOST and PORT; /healthz is answered beside the module's routes.
func Main(m Module) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := m.run(ctx, log); err != nil {
		log.Error(m.Name+" ended", "error", err)
		return 1
	}
	return 0
}

const stopGrace = 5 * time.Second // for requests on their way; below module.yaml's stop_grace

func (m Module) run(ctx context.Context, log *slog.Logger) (err error) {
	options := []lane.Option{lane.Logger(log)}
	if os.Getenv("ABT2_STATIC") == "" {
		static := map[string][]string{}
		for name, address := range laptop {
			static[name] = []string{address}
		}
		options = append(options, lane.Static(static))
	}
	l, err := lane.Join(ctx, options...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, within(ctx, l.Close)) }()

	n := &Node{
		module: m.Name, version: os.Getenv("ABT2_VERSION"), instance: os.Getenv("ABT2_INSTANCE"),
		lane: l, client: &http.Client{Transport: l.Transport(nil)},
	}
	defer n.close()
	handler, stop, err := m.handler(n)
	if err != nil {
		return err
	}
	defer stop()
	host, port, err := net.SplitHostPort(laptop[m.Name])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(cmp.Or(os.Getenv("HOST"), host), cmp.Or(os.Getenv("PORT"), port)))
	if err != nil {
		return err
	}
	log.Info("serving", "module", m.Name, "version", n.version, "address", listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true) // gRPC
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return within(ctx, server.Shutdown)
	}
}

// handler serves the module's routes and services at one port, and stop lets go
// of what is left when that has been shut down.
func (m Module) handler(n *Node) (handler http.Handler, stop func(), err error) {
	routes, err := m.Routes(n)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/", n.lane.Handler(routes))
	services := grpc.NewServer(lanegrpc.ServerOptions(n.lane)...)
	if m.Services != nil {
		m.Services(n, services)
	}
	for name := range services.GetServiceInfo() {
		// A gRPC call is an HTTP/2 request to /SERVICE/METHOD. Who serves it so
		// leaves shutting down to the http.Server: GracefulStop is not for this.
		mux.Handle("POST /"+name+"/", services)
	}
	return mux, services.Stop, nil
}

func (n *Node) close() {
	for _, c := range n.conns {
		_ = c.Close() // it has no calls left to lose
	}
}

// within gives what is done after ctx's end its own time.
func within(ctx context.Context, leave func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return leave(ctx)
}
