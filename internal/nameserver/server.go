// Package nameserver answers for names over DNS (RFC 1035): which instances are to
// be called under a module's, a version's or a group's name.
package nameserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"

	"abt2.dev"
)

const (
	// maxConnections bounds those by TCP, where each is a file of the server's.
	maxConnections = 256
	// listenTries is how often a port is sought that is free for UDP and TCP.
	listenTries = 10
	// lastAnswers bounds how long answers on their way are waited for at the end.
	lastAnswers = time.Second
)

// Server answers for the zone abt2. It is made by Listen and ends with Run.
type Server struct {
	udp  net.PacketConn
	tcp  net.Listener
	log  *slog.Logger
	zone atomic.Pointer[zone] // nil: nothing is known yet
}

// Listen takes an address, HOST:PORT, for UDP and TCP. Port 0 picks a free one.
// Nobody is answered before Run.
func Listen(ctx context.Context, address string, log *slog.Logger) (*Server, error) {
	for try := 1; ; try++ {
		s, again, err := listen(ctx, address)
		if err == nil {
			s.log = log
			return s, nil
		}
		if !again || try == listenTries {
			return nil, abt2.Wrap(abt2.CodeFailed, err, "--dns-listen %s: cannot be taken; is another name server there? choose another address", address)
		}
	}
}

// listen tells whether another try may find another port.
func listen(ctx context.Context, address string) (s *Server, again bool, err error) {
	var c net.ListenConfig
	tcp, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, false, err
	}
	udp, err := c.ListenPacket(ctx, "udp", tcp.Addr().String())
	if err != nil {
		_, port, _ := net.SplitHostPort(address)
		return nil, port == "0", errors.Join(err, tcp.Close())
	}
	return &Server{udp: udp, tcp: netutil.LimitListener(tcp, maxConnections)}, false, nil
}

// Addr is where it listens, HOST:PORT.
func (s *Server) Addr() string { return s.tcp.Addr().String() }

// Close gives the address free where Run is not to be called.
func (s *Server) Close() error { return errors.Join(s.udp.Close(), s.tcp.Close()) }

// Run answers from what directory returns, which is asked again whenever the
// channel that came with it is closed; until the first directory that is not nil
// every answer is SERVFAIL. It returns the context's cause, or why it cannot go on.
func (s *Server) Run(ctx context.Context, directory func() (*abt2.Directory, <-chan struct{})) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	defer group.Wait()
	for _, d := range []*dns.Server{
		{PacketConn: s.udp, Handler: dns.HandlerFunc(s.serve)},
		{Listener: s.tcp, Handler: dns.HandlerFunc(s.serve)},
	} {
		started, ended := make(chan struct{}), make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		group.Go(func() {
			stop(d.ActivateAndServe())
			close(ended)
		})
		group.Go(func() {
			<-ctx.Done()
			select {
			case <-started: // before that there is nothing to shut down
			case <-ended:
			}
			bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
			defer cancel()
			_ = d.ShutdownContext(bound)
		})
	}
	for serial := uint32(1); ; serial++ {
		now, changed := directory()
		if now != nil {
			s.zone.Store(newZone(now, serial, s.Addr()))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// serve implements dns.Handler.
func (s *Server) serve(w dns.ResponseWriter, question *dns.Msg) {
	limit := dns.MaxMsgSize
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		limit = dns.MinMsgSize
	}
	if err := w.WriteMsg(s.zone.Load().answer(question, limit)); err != nil {
		s.log.Debug("a DNS answer could not be sent", "to", w.RemoteAddr().String(), "error", err)
	}
}
