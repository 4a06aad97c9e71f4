package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"abt2.dev"
)

// listenFile holds the API's address, for whoever looks for it.
const listenFile = "listen"

// listen opens the API's address. Port 0 picks a free port the first time in a
// data folder and keeps it from then on, because instances that outlive the
// server look for it there.
func listen(ctx context.Context, dir, address string) (net.Listener, error) {
	host, port, err := loopback("--listen", address)
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(dir, listenFile)
	if port == "0" {
		b, err := os.ReadFile(kept)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if _, last, err := net.SplitHostPort(strings.TrimSpace(string(b))); err == nil {
			address = net.JoinHostPort(host, last)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "--listen %s: cannot be taken; is another server there? choose another address", address)
	}
	return l, errors.Join(writeWhole(kept, []byte(l.Addr().String()+"\n")))
}

// loopback takes an address apart that must be one of loopback.
func loopback(flag, address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err != nil {
		return "", "", abt2.Wrap(abt2.CodeInvalid, err, "%s %q: must be HOST:PORT, like 127.0.0.1:7070", flag, address)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", "", abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a loopback address, like 127.0.0.1:%s", flag, address, port)
	}
	return host, port, nil
}
