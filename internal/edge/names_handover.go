package edge

import (
	"net"
	"slices"
	"strings"

	"abt2.dev"
)

// hold keeps the names as they are until release.
func (n *names) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = true
}

// release ends hold, and lets connections in where they were shut out.
func (n *names) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = false
	for _, l := range n.open {
		if l.err == nil {
			l.gate.Open()
		}
	}
}

// shut lets no more connections in.
func (n *names) shut() {
	for _, l := range n.listening() {
		l.gate.Shut()
	}
}

// letGo closes the sockets, which another process has too. What has come in by
// them goes on until drain.
func (n *names) letGo() {
	for _, l := range n.listening() {
		_ = l.gate.Close()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
}

// inherit serves a name on a socket of another process's, from release on.
func (n *names) inherit(name abt2.Name, l net.Listener) error {
	g, err := newGate(l)
	if err != nil {
		l.Close()
		return err
	}
	g.Shut()
	n.mu.Lock()
	defer n.mu.Unlock()
	in := &nameListener{Name: name, gate: g}
	n.open[name.Module] = in
	n.start(in)
	return nil
}

// listening returns the names that have a socket, sorted by module.
func (n *names) listening() []*nameListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*nameListener
	for _, l := range n.open {
		if l.err == nil {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *nameListener) int { return strings.Compare(string(a.Module), string(b.Module)) })
	return out
}
