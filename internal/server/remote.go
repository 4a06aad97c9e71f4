package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"log/slog"
	"net"

	"abt2.dev"
)

// remote is where the API is answered beyond this machine: by TLS alone, so that
// no credential travels in the clear. What is of this machine, the edge and the
// instances, goes on using the loopback address.
type remote struct {
	listener net.Listener
	tls      *tls.Config
	leaf     *x509.Certificate
	log      *log.Logger // of what comes there and is no TLS
}

// listenRemote opens that address, nil where none is wanted.
func listenRemote(ctx context.Context, c Config) (*remote, error) {
	if c.RemoteListen == "" {
		return nil, nil
	}
	if c.RemoteCert == "" || c.RemoteKey == "" {
		return nil, abt2.Errorf(abt2.CodeInvalid, "--remote-listen %q: is beyond this machine, where credentials must not travel in the clear; give --remote-cert and --remote-key", c.RemoteListen)
	}
	cert, err := tls.LoadX509KeyPair(c.RemoteCert, c.RemoteKey)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--remote-cert %q, --remote-key %q: cannot be used; give PEM files that belong together", c.RemoteCert, c.RemoteKey)
	}
	if len(cert.Leaf.DNSNames) == 0 && len(cert.Leaf.IPAddresses) == 0 {
		return nil, abt2.Errorf(abt2.CodeInvalid, "--remote-cert %q: names no host (subjectAltName), so every client would refuse it; have one made for the name that operators type", c.RemoteCert)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.RemoteListen)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "--remote-listen %s: cannot be taken; is another server there? choose another address", c.RemoteListen)
	}
	return &remote{l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, cert.Leaf, slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}, nil
}

// Close gives the address free where it has not been served on.
func (r *remote) Close() error {
	if r == nil {
		return nil
	}
	return r.listener.Close()
}

// certificate is what proves the server's names; nil: nobody comes from beyond.
func (r *remote) certificate() *x509.Certificate {
	if r == nil {
		return nil
	}
	return r.leaf
}

func (r *remote) address() string {
	if r == nil {
		return ""
	}
	return r.listener.Addr().String()
}
