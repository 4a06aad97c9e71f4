package feedclient

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

// Between attempts to join a client waits a random time up to a bound, which
// doubles from the first to the last of these.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// reportEvery is how often counters are reported unasked.
const reportEvery = 5 * time.Second

// Run joins the server and stays joined until ctx ends, when it returns ctx's
// cause, or until Goodbye, when it returns nil. It is called once. Ending ctx is
// no goodbye: the server expects the router back.
func (c *Client) Run(ctx context.Context) error {
	defer close(c.done)
	defer c.transport.CloseIdleConnections()
	backoff := firstBackoff
	lost := false // whether the loss of the server has been logged
	for {
		welcomed, err := c.session(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c.left():
			return nil
		}
		c.connection(false, err)
		if welcomed {
			backoff, lost = firstBackoff, false
		}
		if connect.CodeOf(err) == connect.CodeAlreadyExists {
			backoff = lastBackoff // another process has taken our name: no race with it
		}
		if !lost {
			c.log.Warn("feed lost, serving from the last table", "server", c.cfg.Server, "error", err)
			lost = true
		}
		timer := time.NewTimer(10*time.Millisecond + rand.N(backoff))
		select {
		case <-timer.C:
		case <-c.leave:
		case <-ctx.Done():
		}
		timer.Stop()
		backoff = min(2*backoff, lastBackoff)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.left() {
			return nil
		}
	}
}

func (c *Client) left() bool {
	select {
	case <-c.leave:
		return true
	default:
		return false
	}
}

// session is one stream, from hello to its end.
type session struct {
	*Client
	stream *connect.BidiStreamForClient[feedpb.RouterMessage, feedpb.ServerMessage]
	mu     sync.Mutex // one Send at a time
}

// session joins once and returns why the session ended, never nil, and whether
// the server had accepted it.
func (c *Client) session(ctx context.Context) (welcomed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{Client: c, stream: c.service.Join(ctx)}
	c.authorize(s.stream.RequestHeader())
	// The end of ctx alone does not end a stream that waits for more to send.
	defer context.AfterFunc(ctx, func() { _ = s.stream.CloseRequest() })()

	hello := proto.CloneOf(c.hello)
	hello.Applied = c.applied.Load()
	if err := s.send(&feedpb.RouterMessage{Message: &feedpb.RouterMessage_Hello{Hello: hello}}); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	received := make(chan error, 1)
	accepted := make(chan struct{})
	go func() { received <- s.receive(ctx, accepted) }()
	defer func() {
		cancel()
		_ = s.stream.CloseRequest()
		_ = s.stream.CloseResponse()
	}()

	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	leave, welcome := c.leave, accepted
	for {
		select {
		case err := <-received:
			return welcomed, err
		// A send that fails ends the stream, and Receive knows why.
		case <-welcome:
			welcome, welcomed = nil, true
			c.log.Info("feed joined", "server", c.cfg.Server)
			c.connection(true, nil)
			_ = s.sendReport(0)
		case <-ticker.C:
			if welcomed {
				_ = s.sendReport(0)
			}
		case <-c.report:
			if welcomed {
				_ = s.sendReport(0)
			}
		case <-leave:
			leave = nil
			if !welcomed {
				cancel() // the server may not even be there
				continue
			}
			_ = s.send(&feedpb.RouterMessage{Message: &feedpb.RouterMessage_Goodbye{Goodbye: &feedpb.Goodbye{}}})
			_ = s.stream.CloseRequest()
		}
	}
}

// receive takes messages until the stream ends, and returns why.
func (s *session) receive(ctx context.Context, accepted chan<- struct{}) error {
	for {
		m, err := s.stream.Receive()
		if err != nil {
			return err
		}
		switch {
		case m.GetWelcome() != nil:
			if accepted != nil {
				close(accepted)
				accepted = nil
			}
		case m.GetRead() != nil:
			err = s.answer(m.GetRead())
		default:
			applied := s.deliver(ctx, m)
			if applied == nil {
				continue
			}
			if applied.Refused == "" {
				s.keep(s.last)
			} else {
				s.log.Error("table refused", "reason", applied.Refused)
			}
			err = s.send(&feedpb.RouterMessage{Message: &feedpb.RouterMessage_Applied{Applied: applied}})
		}
		if err != nil && !errors.Is(err, io.EOF) { // EOF: Receive knows why
			return err
		}
	}
}

func (s *session) answer(r *feedpb.Read) error {
	switch r.GetSubject() {
	case feedpb.Read_SUBJECT_ROUTES:
		served := &feedpb.ServedRoutes{ReadId: r.GetId()}
		if s.cfg.Served != nil {
			served.Routes = s.cfg.Served()
		}
		return s.send(&feedpb.RouterMessage{Message: &feedpb.RouterMessage_Routes{Routes: served}})
	case feedpb.Read_SUBJECT_REPORT:
		// Watch comes before the report: what ends in between is reported twice, never not at all.
		if r.GetDrained() != 0 && s.cfg.Watch != nil {
			s.cfg.Watch(r.GetDrained())
		}
		if r.GetClose() != 0 && s.cfg.Close != nil {
			s.cfg.Close(r.GetClose())
		}
		return s.sendReport(r.GetId())
	default:
		return nil // of a newer server
	}
}

func (s *session) sendReport(readID uint64) error {
	report := &feedpb.Report{}
	if s.cfg.Report != nil {
		report = s.cfg.Report()
	}
	report.ReadId = readID
	return s.send(&feedpb.RouterMessage{Message: &feedpb.RouterMessage_Report{Report: report}})
}

func (s *session) send(m *feedpb.RouterMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}
