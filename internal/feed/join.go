package feed

import (
	"connectrpc.com/connect"

	"abt2.dev/lane/feedpb"
)

// bidi is a router's stream as Connect serves it.
type bidi = connect.BidiStream[feedpb.RouterMessage, feedpb.ServerMessage]

// join makes s the stream of its router, and begins to count its receiver.
func (f *Feed) join(h *feedpb.Hello, s *stream) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	r := f.routers[h.GetRouterId()]
	if r == nil {
		r = newRouter()
	}
	if err := r.onUnasked(); err != nil {
		return err
	}
	published := f.table
	if h.GetRole() == feedpb.Role_ROLE_EDGE {
		published = r.routes
	}
	if err := r.join(h, s, published); err != nil {
		f.log.Error("router refused", "router", h.GetRouterId(), "error", err)
		return err
	}
	f.routers[h.GetRouterId()] = r
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
		if err := f.take(id, s, m); err != nil {
			f.log.Error("router's stream ended", "router", id, "error", err)
			return err
		}
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

// take takes one message. An error ends the stream, and what the message claims
// has not been noted.
func (f *Feed) take(id string, s *stream, m *feedpb.RouterMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.routers[id]
	if r == nil || r.stream != s {
		return nil // it has joined again or been forgotten: the stream is ending
	}
	switch m := m.GetMessage().(type) {
	case *feedpb.RouterMessage_Applied:
		if err := r.onApplied(m.Applied); err != nil {
			return err
		}
		if m.Applied.GetRefused() != "" {
			f.log.Error("router refused a table", "router", id, "reason", m.Applied.GetRefused())
		}
	case *feedpb.RouterMessage_Report:
		if err := r.onReport(m.Report); err != nil {
			return err
		}
	case *feedpb.RouterMessage_Routes:
		if err := s.answerRead(m.Routes.GetReadId()); err != nil {
			return err
		}
		if answer := f.reads[m.Routes.GetReadId()]; answer != nil {
			answer <- m.Routes.GetRoutes() // of one slot, and taken out of reads: never blocks
			delete(f.reads, m.Routes.GetReadId())
		}
	case *feedpb.RouterMessage_Hello:
		return errHelloAgain
	default:
		return r.onUnasked() // of a newer router
	}
	f.notify()
	return nil
}
