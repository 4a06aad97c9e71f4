package zktest

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Link is a network between clients and an ensemble, that can be cut.
type Link struct {
	addresses []string
	done      sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// Link returns a way to the ensemble of its own. It ends with the test.
func (e *Ensemble) Link(t testing.TB) *Link {
	t.Helper()
	l := &Link{conns: map[net.Conn]struct{}{}}
	t.Cleanup(l.done.Wait)
	for _, target := range e.Addresses() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		l.addresses = append(l.addresses, listener.Addr().String())
		l.done.Go(func() { l.accept(listener, target) })
	}
	t.Cleanup(l.Cut)
	return l
}

// Addresses are host:port of the link's ends, one for each server.
func (l *Link) Addresses() []string { return l.addresses }

// Connect is the addresses as one string, separated by commas.
func (l *Link) Connect() string { return strings.Join(l.addresses, ",") }

// Cut closes all connections and lets no new one through until Heal.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		_ = c.Close()
	}
}

// Heal lets connections through again.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Link) accept(listener net.Listener, target string) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		l.done.Go(func() { l.pass(c, target) })
	}
}

// pass copies both ways until either side ends.
func (l *Link) pass(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.keep(client, server) {
		return
	}
	defer l.forget(client, server)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
}

func (l *Link) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if l.cut {
			return false
		}
		l.conns[c] = struct{}{}
	}
	return true
}

func (l *Link) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}
