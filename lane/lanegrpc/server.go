package lanegrpc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"abt2.dev/lane"
	"abt2.dev/lane/stamp"
)

// server intercepts the calls that a process serves.
type server struct{ lane *lane.Lane }

func (s server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	received, err := s.lane.Receive(ctx, values(ctx, info.FullMethod))
	if err != nil {
		return nil, refusal(err, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) }) // there is a stream in ctx
	}
	defer received.End()
	res, err := handler(received.Context, req)
	return res, retired(received.Context, err)
}

func (s server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := stream.Context()
	received, err := s.lane.Receive(ctx, values(ctx, info.FullMethod))
	if err != nil {
		return refusal(err, stream.SetTrailer)
	}
	defer received.End()
	return retired(received.Context, handler(srv, serverStream{stream, received.Context}))
}

// retired is the error of a call that has ended because its environment was
// taken down: a context's error would reach the caller as one of its own doing.
func retired(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), lane.ErrRetired) {
		return status.Error(codes.Unavailable, lane.ErrRetired.Error())
	}
	return err
}

// serverStream has the environment in its context.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s serverStream) Context() context.Context { return s.ctx }

// SendMsg ends a stream whose handler only sends, when its environment ends.
func (s serverStream) SendMsg(m any) error {
	if s.ctx.Err() != nil {
		return status.FromContextError(s.ctx.Err()).Err()
	}
	return s.ServerStream.SendMsg(m)
}

// healthService is gRPC's own protocol of health checks.
const healthService = "/grpc.health.v1.Health/"

// values takes abt2's metadata of a call.
func values(ctx context.Context, method string) stamp.Values {
	return stamp.Values{
		Env:     metadata.ValueFromIncomingContext(ctx, envKey),
		To:      metadata.ValueFromIncomingContext(ctx, toKey),
		Baggage: metadata.ValueFromIncomingContext(ctx, baggageKey),
		Probe:   strings.HasPrefix(method, healthService) || len(metadata.ValueFromIncomingContext(ctx, probeKey)) > 0,
	}
}

// refusal returns the status of a call that its handler does not see. One that
// is for someone else is marked, so that the caller knows that it may be made
// again.
func refusal(err error, setTrailer func(metadata.MD)) error {
	code := codes.Unavailable
	if refused := (*lane.RefusedError)(nil); errors.As(err, &refused) {
		switch refused.Reason {
		case lane.Malformed:
			code = codes.InvalidArgument
		case lane.Misdirected:
			setTrailer(metadata.Pairs(refusedKey, stamp.RefusedTo))
		}
	}
	return status.Error(code, err.Error())
}
