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

	"abt2.dev/lane"
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
	client                    *http.Client
}

// Here is this module's part in answering r.
func (n *Node) Here(r *http.Request) Hop {
	env, _ := lane.Environment(r.Context())
	return Hop{Module: n.module, Version: n.version, Environment: env, Instance: n.instance}
}

// Main runs a module until it is told to end, and returns the exit status.
// It listens on HOST and PORT; /healthz is answered beside the module's routes.
func Main(module string, routes func(*Node) http.Handler) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, log, module, routes); err != nil {
		log.Error(module+" ended", "error", err)
		return 1
	}
	return 0
}

const stopGrace = 5 * time.Second // for requests on their way; below module.yaml's stop_grace

func run(ctx context.Context, log *slog.Logger, module string, routes func(*Node) http.Handler) (err error) {
	options := []lane.Option{lane.Logger(log)}
	if os.Getenv("ABT2_STATIC") == "" {
		static := map[string][]string{}
		for m, address := range laptop {
			static[m] = []string{address}
		}
		options = append(options, lane.Static(static))
	}
	l, err := lane.Join(ctx, options...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, within(ctx, l.Close)) }()

	n := &Node{
		module: module, version: os.Getenv("ABT2_VERSION"), instance: os.Getenv("ABT2_INSTANCE"),
		client: &http.Client{Transport: l.Transport(nil)},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/", l.Handler(routes(n)))

	host, port, err := net.SplitHostPort(laptop[module])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(cmp.Or(os.Getenv("HOST"), host), cmp.Or(os.Getenv("PORT"), port)))
	if err != nil {
		return err
	}
	log.Info("serving", "module", module, "version", n.version, "address", listener.Addr().String())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return within(ctx, server.Shutdown)
	}
}

// within gives what is done after ctx's end its own time.
func within(ctx context.Context, leave func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return leave(ctx)
}
