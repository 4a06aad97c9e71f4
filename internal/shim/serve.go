package shim

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/internal/shim/shimpb/shimpbconnect"
)

// server answers the protocol for a keeper.
type server struct {
	keeper *keeper
	names  *names
	http   *http.Server
	done   chan struct{}
}

func serve(k *keeper, n *names, l net.Listener, log *slog.Logger) *server {
	s := &server{keeper: k, names: n, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle(shimpbconnect.NewShimServiceHandler(s))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); err != http.ErrServerClosed {
			log.Error("the socket is lost", "err", err)
		}
	}()
	return s
}

// close lets those who wait for the end have their answer.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}

func (s *server) Describe(context.Context, *connect.Request[shimpb.DescribeRequest]) (*connect.Response[shimpb.DescribeResponse], error) {
	status, _ := s.keeper.snapshot()
	return connect.NewResponse(&shimpb.DescribeResponse{
		Protocol: shimpb.Protocol, Identity: s.keeper.who(), Status: status, Spec: s.keeper.spec,
	}), nil
}

func (s *server) Watch(ctx context.Context, _ *connect.Request[shimpb.WatchRequest], stream *connect.ServerStream[shimpb.WatchResponse]) error {
	for {
		status, changed := s.keeper.snapshot()
		if err := stream.Send(&shimpb.WatchResponse{Status: status}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-s.keeper.ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *server) Stop(ctx context.Context, r *connect.Request[shimpb.StopRequest]) (*connect.Response[shimpb.StopResponse], error) {
	grace := s.keeper.spec.GetStopGrace()
	if g := r.Msg.GetGrace(); g != nil {
		grace = g
	}
	s.keeper.stop(grace.AsDuration())
	select {
	case <-s.keeper.ended:
		return connect.NewResponse(&shimpb.StopResponse{}), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
