package release

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"abt2.dev"
)

// external returns where the put's version answers if abt2 is not to run it:
// what the put says of it, else, without a build, what current has. layers are
// the put's own, the uppermost first.
func external(m abt2.PutModule, layers []abt2.ConfigPatch, current *abt2.Version) (abt2.External, error) {
	for _, l := range layers {
		switch {
		case l.External == nil:
		case len(l.External) > 0 && m.Artifact != (abt2.Artifact{}):
			return nil, abt2.Errorf(abt2.CodeInvalid, "%s: external %q: a version has either a build or addresses; leave out --path, or remove external", m.Module, l.External[0])
		default:
			return l.External, nil
		}
	}
	if m.Artifact == (abt2.Artifact{}) && current != nil {
		return current.Config.External, nil
	}
	return nil, nil
}

// checkOwn refuses addresses at which abt2 itself answers: they would lead
// requests in a circle, or make one instance two.
func (e *Engine) checkOwn(s *abt2.State, m abt2.ModuleName, addresses []string) error {
	for _, a := range addresses {
		if what := e.own(s, a); what != "" {
			return abt2.Errorf(abt2.CodeInvalid, "%s: external %q: is %s; name a process that abt2 does not run", m, a, what)
		}
	}
	return nil
}

// own tells what of abt2 answers at an address. Empty: nothing.
func (e *Engine) own(s *abt2.State, address string) string {
	for _, name := range sortedModules(s.Modules) {
		if a := s.Modules[name].Address; a != "" && sameAddress(a, address) {
			return fmt.Sprintf("the unversioned name of %s, which leads to the edge", name)
		}
	}
	for _, i := range e.running(true) {
		ver := s.Versions[i.Version]
		if i.Address != "" && !ver.External() && sameAddress(i.Address, address) {
			return fmt.Sprintf("instance %s, which abt2 runs", i.ID)
		}
	}
	if e.Own != nil {
		return e.Own(address)
	}
	return ""
}

// sameAddress compares addresses; localhost is the loopback address.
func sameAddress(a, b string) bool {
	loopback := func(s string) string {
		if host, port, err := net.SplitHostPort(s); err == nil && (strings.EqualFold(host, "localhost") || host == "::1") {
			return net.JoinHostPort("127.0.0.1", port)
		}
		return s
	}
	return loopback(a) == loopback(b)
}

// stands reports whether a version is there at its scale. An external one needs
// every address it has now to answer.
func stands(running []abt2.Instance, ver *abt2.Version, scale int) bool {
	n := healthy(running, ver.ID)
	if !ver.External() {
		return n >= scale
	}
	return n >= scale && !slices.ContainsFunc(running, func(i abt2.Instance) bool {
		return i.Version == ver.ID && i.State != abt2.InstanceHealthy
	})
}

// checkResolved refuses an external version whose name has led to abt2 itself.
func (e *Engine) checkResolved(ctx context.Context, v *abt2.Version) error {
	if !v.External() {
		return nil
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	var addresses []string
	for _, i := range e.running(true) {
		if i.Version == v.ID {
			addresses = append(addresses, i.Address)
		}
	}
	return e.checkOwn(s, v.ID.Module, addresses)
}
