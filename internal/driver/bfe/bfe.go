// Package bfe drives instances of BFE that somebody else runs: it writes their
// files and reloads them over the monitor port. A switch is one reload.
package bfe

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"abt2.dev"
)

// Config says which BFE is driven. Dir is required.
type Config struct {
	// Dir is BFE's configuration folder, with bfe.conf in it. The files of
	// routes, clusters and mod_header's rules that bfe.conf names are abt2's.
	Dir string
	// Pages is the address, ip:port, of a built-in edge with the same routes: it
	// answers below abt2.ReservedPrefix and what BFE cannot. Empty: nobody does.
	Pages string
	// WebSockets lets requests for WebSockets in. BFE's mod_header does not see
	// them, so that Pages stamps them and takes them to their module: they need
	// it. Without, BFE closes their connections.
	WebSockets bool
	Log        *slog.Logger // nil: nothing is logged
}

// Edge is one BFE: an abt2.Edge, an abt2.TokenReader and an abt2.Limiter.
// Methods may be called from several goroutines.
type Edge struct {
	cfg      Config
	settings settings
	applying chan struct{} // one slot, held while BFE is changed
}

var (
	_ abt2.Edge        = (*Edge)(nil)
	_ abt2.TokenReader = (*Edge)(nil)
	_ abt2.Limiter     = (*Edge)(nil)
)

// patience is how long BFE may take for one answer.
const patience = 10 * time.Second

// New reads bfe.conf and changes nothing.
func New(cfg Config) (*Edge, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if cfg.Dir == "" || err != nil {
		return nil, abt2.Errorf(abt2.CodeInvalid, "BFE folder %q: must name BFE's configuration folder", cfg.Dir)
	}
	if cfg.Pages != "" {
		if _, err := netip.ParseAddrPort(cfg.Pages); err != nil {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "address of pages %q: must be ip:port", cfg.Pages)
		}
	}
	if cfg.WebSockets && cfg.Pages == "" {
		return nil, abt2.Errorf(abt2.CodeInvalid, "WebSockets through BFE: need a built-in edge behind it that stamps them; name its address")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Dir = dir
	s, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	return &Edge{cfg: cfg, settings: s, applying: make(chan struct{}, 1)}, nil
}

// Address is where BFE serves users without TLS, seen from this machine.
func (e *Edge) Address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.settings.httpPort))
}

// ReadsTokens implements abt2.TokenReader: BFE's conditions compare, and no more.
func (e *Edge) ReadsTokens() {}

// Limits implements abt2.Limiter.
func (e *Edge) Limits() []string {
	out := []string{
		"tokens are kept in clear, in files of mode 0600: BFE can neither hash nor sign, so that it has no skew protection and no share",
		"an unknown token is served online also while the server is lost: BFE does not know that it is",
		"of several tokens in a request the first counts, and one that is none is served online; neither is refused",
		"baggage of requests from outside is dropped, and cookies beside ours are written anew",
		"a request that an instance refuses as someone else's is answered 421 and not tried elsewhere",
		"what is on its way to an environment that is taken down is not waited for: it has as long as its instances take to stop",
		"an answer, and the body of a request, may take " + exchangeLimit.String() + " at most",
		"trailers of requests over HTTP/2 are passed on as they come; no module of abt2 reads a stamp there",
		"TLS ends at version 1.2, and HTTP/2 needs TLS",
	}
	if e.cfg.WebSockets {
		out = append(out, "WebSockets pass through the built-in edge behind BFE, which stamps them; BFE does not")
	} else {
		out = append(out, "WebSockets are refused, their connections closed: BFE does not stamp them; see --bfe-websockets")
	}
	if e.cfg.Pages == "" {
		out = append(out, "what nobody answers (no prefix, no instance, nothing online yet) is answered 500, without a reason")
	} else {
		out = append(out, "instances that all refuse connections are answered 500, not 503")
	}
	return out
}

func take(ctx context.Context, slot chan struct{}) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
