package lanegrpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"abt2.dev/lane"
)

// client intercepts the calls of client connections.
type client struct{ lane *lane.Lane }

func (c client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	module := moduleOf(cc.Target())
	if module == "" {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	call, ctx, err := c.begin(ctx, module)
	if err != nil {
		return err
	}
	defer call.End()
	var before error
	for {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if err == nil || !call.again(ctx, method) {
			return call.explain(ctx, err, before)
		}
		before = err
	}
}

func (c client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	module := moduleOf(cc.Target())
	if module == "" {
		return open(ctx, desc, cc, method, opts...)
	}
	call, ctx, err := c.begin(ctx, module)
	if err != nil {
		return nil, err
	}
	s := &clientStream{ctx: ctx, method: method, desc: desc, call: call, end: sync.OnceFunc(call.End)}
	opts = append(opts[:len(opts):len(opts)], grpc.OnFinish(s.finished))
	s.open = func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) }
	if s.current, err = s.open(); err != nil {
		s.end()
		return nil, call.explain(ctx, err, nil)
	}
	return s, nil
}

// clientStream is a stream that is opened again at another instance if its
// receiver refuses it, or nobody answers what may be called twice, as long as
// nothing was received and at most the request of a server's stream was sent. Like
// any stream it may be sent to and received from by two goroutines.
type clientStream struct {
	ctx    context.Context
	method string
	desc   *grpc.StreamDesc
	call   *call
	open   func() (grpc.ClientStream, error)
	end    func() // ends the call, once

	mu       sync.Mutex
	current  grpc.ClientStream
	request  any  // that was sent, of a stream that only the server goes on with
	sent     bool // something, by a caller that may go on sending
	closed   bool // the caller will send no more
	received bool // anything
}

// finished is told by gRPC that the current stream is over. One that failed so may
// be opened again by who receives from it; if nobody does, the end of the
// caller's context ends the call.
func (s *clientStream) finished(error) {
	if s.call.refused || s.call.unanswered {
		context.AfterFunc(s.ctx, s.end)
		return
	}
	s.end()
}

func (s *clientStream) now() grpc.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// reopen replaces a stream that failed with err, if that is allowed.
func (s *clientStream) reopen(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent || s.received || !s.call.again(s.ctx, s.method) {
		return err
	}
	next, oerr := s.open()
	if oerr != nil {
		return s.call.explain(s.ctx, oerr, err)
	}
	s.current = next
	if s.request != nil {
		if serr := next.SendMsg(s.request); serr != nil {
			return serr
		}
	}
	if s.closed {
		return next.CloseSend()
	}
	return nil
}

func (s *clientStream) SendMsg(m any) error {
	s.mu.Lock()
	if s.desc.ClientStreams {
		s.sent = true
	} else {
		s.request = m
	}
	current := s.current
	s.mu.Unlock()
	return current.SendMsg(m)
}

func (s *clientStream) CloseSend() error {
	s.mu.Lock()
	s.closed = true
	current := s.current
	s.mu.Unlock()
	return current.CloseSend()
}

func (s *clientStream) RecvMsg(m any) error {
	for {
		err := s.now().RecvMsg(m)
		if err == nil {
			s.mu.Lock()
			s.received = true
			s.mu.Unlock()
			return nil
		}
		if err = s.reopen(err); err != nil {
			s.end()
			return err
		}
	}
}

func (s *clientStream) Header() (metadata.MD, error) {
	for {
		current := s.now()
		md, err := current.Header()
		if md != nil || err != nil || s.reopen(errNoOther) != nil {
			return md, err // without a header RecvMsg tells why
		}
	}
}

func (s *clientStream) Trailer() metadata.MD     { return s.now().Trailer() }
func (s *clientStream) Context() context.Context { return s.now().Context() }
