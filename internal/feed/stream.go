package feed

import (
	"context"
	"errors"
	"sync"

	"connectrpc.com/connect"

	"abt2.dev/lane/feedpb"
)

// bidi is a router's stream as Connect serves it.
type bidi = connect.BidiStream[feedpb.RouterMessage, feedpb.ServerMessage]

// service answers the calls of routers.
type service struct{ *Feed }

// Fetch returns the published table at once.
func (f service) Fetch(ctx context.Context, req *connect.Request[feedpb.FetchRequest]) (*connect.Response[feedpb.Table], error) {
	if _, err := f.authenticate(ctx, req.Header()); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table == nil {
		return nil, errNoTable
	}
	return connect.NewResponse(f.table.message.GetTable()), nil
}

// Join serves one router until its stream ends.
func (f service) Join(ctx context.Context, conn *bidi) error {
	id, err := f.authenticate(ctx, conn.RequestHeader())
	if err != nil {
		return err
	}
	first, err := conn.Receive()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return errHello
	}
	if err := checkHello(hello, id); err != nil {
		return err
	}
	s := newStream()
	if err := f.join(hello, s); err != nil {
		return err
	}
	defer f.leave(hello.GetRouterId(), s)
	go func() { // ends when the call does, which ends Receive
		defer f.receivers.Done()
		s.end(f.receive(hello.GetRouterId(), s, conn))
	}()
	return s.send(ctx, conn)
}

// join makes s the stream of its router, and begins to count its receiver.
func (f *Feed) join(h *feedpb.Hello, s *stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	r := f.routers[h.GetRouterId()]
	if r == nil {
		r = &router{}
		f.routers[h.GetRouterId()] = r
	}
	r.join(h, s)
	if r.isEdge() {
		s.publish(r.routes)
	} else {
		s.publish(f.table)
	}
	f.receivers.Add(1)
	f.log.Info("router joined", "router", r.status.ID, "role", r.status.Role, "version", r.status.Version, "revision", r.status.Applied.Revision)
	f.notify()
	return nil
}

// leave marks the router as disconnected, unless it has another stream already.
func (f *Feed) leave(id string, s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.end(errClosed)
	if r := f.routers[id]; r != nil && r.stream == s {
		r.stream, r.status.Connected = nil, false
		f.log.Info("router disconnected", "router", id)
		f.notify()
	}
}

// receive takes what the router says until the stream ends, and returns nil
// after a goodbye.
func (f *Feed) receive(id string, s *stream, conn *bidi) error {
	for {
		m, err := conn.Receive()
		if err != nil {
			return err
		}
		if m.GetGoodbye() != nil {
			f.goodbye(id, s)
			return nil
		}
		f.take(id, s, m)
	}
}

func (f *Feed) goodbye(id string, s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.routers[id]; r != nil && r.stream == s {
		delete(f.routers, id)
		f.log.Info("router said goodbye", "router", id)
		f.notify()
	}
}

func (f *Feed) take(id string, s *stream, m *feedpb.RouterMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.routers[id]
	if r == nil || r.stream != s {
		return // it has joined again or been forgotten
	}
	switch m := m.GetMessage().(type) {
	case *feedpb.RouterMessage_Applied:
		r.onApplied(m.Applied)
		if m.Applied.GetRefused() != "" {
			f.log.Error("router refused a table", "router", id, "reason", m.Applied.GetRefused())
		}
	case *feedpb.RouterMessage_Report:
		r.onReport(m.Report)
	case *feedpb.RouterMessage_Routes:
		if answer := f.reads[m.Routes.GetReadId()]; answer != nil {
			answer <- m.Routes.GetRoutes() // of one slot, and taken out of reads: never blocks
			delete(f.reads, m.Routes.GetReadId())
		}
	default:
		return
	}
	f.notify()
}

// stream is the sending side of a router's stream. Senders leave their messages
// and go on; a table that was not sent yet gives way to a newer one. All
// methods may be called from any goroutine, publish and end also on nil.
type stream struct {
	wake  chan struct{} // one slot
	ended chan struct{} // closed by the first end

	mu      sync.Mutex
	latest  *publication
	reads   []*feedpb.Read
	cause   error // once ended is closed; nil: a goodbye
	isEnded bool
}

func newStream() *stream {
	return &stream{wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (s *stream) publish(p *publication) {
	if s == nil || p == nil {
		return
	}
	s.mu.Lock()
	s.latest = p
	s.mu.Unlock()
	s.signal()
}

func (s *stream) ask(r *feedpb.Read) {
	s.mu.Lock()
	s.reads = append(s.reads, r)
	s.mu.Unlock()
	s.signal()
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) take() (*publication, []*feedpb.Read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, reads := s.latest, s.reads
	s.latest, s.reads = nil, nil
	return p, reads
}

// end makes send return err. Only the first end counts.
func (s *stream) end(err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isEnded {
		return
	}
	s.isEnded, s.cause = true, err
	close(s.ended)
}

// send sends what is left for it until end or ctx.
func (s *stream) send(ctx context.Context, conn *bidi) error {
	err := conn.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Welcome{Welcome: &feedpb.Welcome{Protocol: protocol}}})
	for err == nil {
		select {
		case <-s.wake:
		case <-s.ended:
			return s.cause
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p, reads := s.take()
		if p != nil {
			err = conn.Conn().Send(p) // by codec, as it is
		}
		for _, r := range reads {
			err = errors.Join(err, conn.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Read{Read: r}}))
		}
	}
	return err
}
