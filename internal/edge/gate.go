package edge

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// socket is a listening socket of the kernel's.
type socket interface {
	net.Listener
	SetDeadline(t time.Time) error
	File() (*os.File, error)
}

// gate is a listening socket that can be shut without being closed: connections
// then wait in the kernel, for this process or another that has the same socket.
type gate struct {
	socket
	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens again, or is closed; nil: it is open
}

func newGate(l net.Listener) (*gate, error) {
	s, ok := l.(socket)
	if !ok {
		return nil, errors.New("not a socket that can be handed over: " + l.Addr().Network())
	}
	return &gate{socket: s}, nil
}

// Accept implements net.Listener. It waits while the gate is shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.socket.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut != nil {
			<-shut
		}
	}
}

// Shut lets no more connections in. One that Accept is just returning is in.
func (g *gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
		_ = g.SetDeadline(time.Unix(1, 0)) // fails on a closed socket only
	}
}

// Open lets connections in again.
func (g *gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		_ = g.SetDeadline(time.Time{})
		close(g.shut)
		g.shut = nil
	}
}

// Close implements net.Listener. The socket itself lives on where another
// process has it.
func (g *gate) Close() error {
	err := g.socket.Close()
	g.Open()
	return err
}
