package server

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// ownAddresses returns what tells whether the API or the edge answers at an
// address. Host names other than localhost are not resolved.
func ownAddresses(api string, edge []string) func(address string) string {
	return func(address string) string {
		switch {
		case answersAt(api, address):
			return "the server's own"
		case slices.ContainsFunc(edge, func(e string) bool { return answersAt(e, address) }):
			return "the edge's own, so requests would go in a circle"
		}
		return ""
	}
}

// answersAt reports whether who listens at one address is reached at another.
func answersAt(listens, address string) bool {
	at, ok := hostPort(listens)
	to, ok2 := hostPort(address)
	if !ok || !ok2 || at.Port() != to.Port() {
		return false
	}
	return at.Addr() == to.Addr() || at.Addr().IsUnspecified() && isLocal(to.Addr())
}

func hostPort(s string) (netip.AddrPort, bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err == nil
}

// isLocal reports whether an address is one of this machine.
func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}
