package edge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// nameRetry is the pause before an address that is in use is tried again: it is
// another process's to free, and nothing tells when it does.
const nameRetry = time.Second

// names listens on the unversioned names' addresses.
type names struct {
	serve func(module string) *http.Server
	log   *slog.Logger

	mu      sync.Mutex
	open    map[abt2.ModuleName]*nameListener
	held    bool // nothing changes: the sockets are being handed over
	closed  bool
	leaving sync.WaitGroup // of names that are gone, but whose requests are not
}

// nameListener is one name. It listens, or err says why it does not.
type nameListener struct {
	abt2.Name
	err    error
	gate   *gate
	server *http.Server
}

// set makes exactly the wanted names listen, and returns when those that can do.
// Requests on their way to a name that goes are finished.
func (n *names) set(wanted []abt2.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.held {
		return
	}
	keep := make(map[abt2.ModuleName]abt2.Name, len(wanted))
	for _, name := range wanted {
		keep[name.Module] = name
	}
	for module, l := range n.open { // first, so that an address may pass to another module
		if name, ok := keep[module]; ok && name.Address == l.Address {
			l.Name = name // its owner may have changed
			continue
		}
		delete(n.open, module)
		n.leave(context.Background(), l)
	}
	for _, name := range wanted {
		if l := n.open[name.Module]; l == nil || l.err != nil {
			n.listen(name, l)
		}
	}
}

// listen opens one name, or notes why it cannot.
func (n *names) listen(name abt2.Name, before *nameListener) {
	l := &nameListener{Name: name}
	n.open[name.Module] = l
	if l.gate, l.err = listenName(name.Address); l.err != nil {
		if before == nil {
			n.log.Error("unversioned name cannot be served", "module", name.Module, "address", name.Address, "error", l.err)
		}
		return
	}
	n.log.Info("unversioned name is served", "module", name.Module, "address", name.Address)
	n.start(l)
}

func (n *names) start(l *nameListener) {
	l.server = n.serve(string(l.Module))
	n.leaving.Go(func() { _ = l.server.Serve(l.gate) }) // ends when the gate is closed
}

// leave frees the address at once and lets requests finish until ctx ends.
func (n *names) leave(ctx context.Context, l *nameListener) {
	if l.err != nil {
		return
	}
	_ = l.gate.Close()
	n.leaving.Go(func() {
		if l.server.Shutdown(ctx) != nil {
			_ = l.server.Close()
		}
	})
}

// listenName refuses an address that is reachable from outside: requests to a
// name are not stripped of what they say about themselves.
func listenName(address string) (*gate, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "address %q: must be HOST:PORT", address)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, abt2.Errorf(abt2.CodeInvalid, "address %q: must be a loopback address, like 127.0.0.1:7301", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return newGate(l)
}

// retry tries addresses again that were in use, until ctx ends.
func (n *names) retry(ctx context.Context) {
	tick := time.NewTicker(nameRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.mu.Lock()
		for _, l := range n.open {
			if l.err != nil && !n.closed && !n.held {
				n.listen(l.Name, l)
			}
		}
		n.mu.Unlock()
	}
}

// states tells which names are served, sorted by module.
func (n *names) states() []edgectl.NameState {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]edgectl.NameState, 0, len(n.open))
	for _, l := range n.open {
		s := edgectl.NameState{Name: l.Name}
		if l.err != nil {
			s.Error = l.err.Error()
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b edgectl.NameState) int { return strings.Compare(string(a.Module), string(b.Module)) })
	return out
}

// drain closes every name and waits for its requests until ctx ends.
func (n *names) drain(ctx context.Context) {
	n.mu.Lock()
	n.closed = true
	for _, l := range n.open {
		n.leave(ctx, l)
	}
	clear(n.open)
	n.mu.Unlock()
	n.leaving.Wait()
}
