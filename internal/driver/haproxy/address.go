package haproxy

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"abt2.dev"
)

// resolveListen makes host:port an address that HAProxy cannot read otherwise.
// An empty host is every address of the machine.
func resolveListen(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, abt2.Wrap(abt2.CodeInvalid, err, "edge address %q: must be HOST:PORT, like 127.0.0.1:8080", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, abt2.Errorf(abt2.CodeInvalid, "edge address %q: the port must be a number up to 65535", s)
	}
	switch host {
	case "":
		return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n)), nil
	case "localhost":
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, abt2.Errorf(abt2.CodeInvalid, "edge address %q: the host must be an IP address or localhost", s)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}

// address is where users are served. A port that was to be picked is picked
// once and written down.
func (e *Edge) address(ctx context.Context) (netip.AddrPort, error) {
	want, err := resolveListen(e.cfg.Listen)
	if err != nil || want.Port() != 0 {
		return want, err
	}
	b, err := os.ReadFile(e.path(portFile))
	if err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 16); err == nil && n != 0 {
			return netip.AddrPortFrom(want.Addr(), uint16(n)), nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return want, abt2.Wrap(abt2.CodeFailed, err, "the edge's port cannot be read")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", want.String())
	if err != nil {
		return want, abt2.Wrap(abt2.CodeFailed, err, "edge address %q: no port is free", e.cfg.Listen)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return want, abt2.Wrap(abt2.CodeFailed, err, "edge address %q", e.cfg.Listen)
	}
	if err := os.WriteFile(e.path(portFile), []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		return want, abt2.Wrap(abt2.CodeFailed, err, "the edge's port cannot be written down")
	}
	return netip.AddrPortFrom(want.Addr(), uint16(port)), nil
}

// Address returns where users are served: host:port.
func (e *Edge) Address(ctx context.Context) (string, error) {
	if err := e.makeDir(); err != nil {
		return "", err
	}
	a, err := e.address(ctx)
	return a.String(), err
}
