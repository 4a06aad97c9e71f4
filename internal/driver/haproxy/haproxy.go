// Package haproxy drives an HAProxy, 2.6 or newer: it owns the configuration,
// keeps the process, which outlives the server, and switches users with one
// change of a map in HAProxy's memory.
package haproxy

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"abt2.dev"
)

// Config says which HAProxy is driven. Dir and Listen are required.
type Config struct {
	// Dir is HAProxy's folder: its configuration, sockets and words. It is made
	// if absent, mode 0700. Its path must be at most 95 bytes long, so that the
	// sockets in it can be reached.
	Dir string
	// Listen is the address users are served at, host:port. Port 0 picks a free
	// one, which an HAProxy started again on the same Dir takes again.
	Listen string
	// TLSCert and TLSKey are PEM files; with them users speak HTTP/2 and HTTP/1.1
	// over TLS, without them HTTP/1.1 and HTTP/2 without TLS. A renewed one is
	// taken up by the next Apply.
	TLSCert, TLSKey string
	// Program is the haproxy executable. Empty: haproxy, found in PATH.
	Program string
	// Snippet is a file of the user's own configuration: lines of a defaults
	// section for what users are served by. Empty: none.
	Snippet string
	// Pages is the address, ip:port, of who answers below abt2.ReservedPrefix,
	// and says there, at abt2.ConnectedPath, whether the server is lost. Empty:
	// nobody, 404.
	Pages string
	// HardStopAfter bounds how long a process that was replaced may finish its
	// requests. Zero: 30 min.
	HardStopAfter time.Duration
	// DrainTimeout bounds how long Stop lets requests finish. Zero: 30 s.
	DrainTimeout time.Duration
	Log          *slog.Logger // nil: nothing is logged
}

// Edge is one HAProxy: an abt2.Edge, an abt2.Drainer and an abt2.Limiter, and
// what keeps its process. Methods may be called from several goroutines.
type Edge struct {
	cfg      Config
	applying chan struct{} // one slot, held while HAProxy is changed
	starting chan struct{} // one slot, held while HAProxy is looked for or started
	stopped  chan struct{} // closed by Stop: none is started any more
	stopping atomic.Bool
	about    atomic.Pointer[features]
	silent   silence
}

// maxDir leaves room for the longest socket name that HAProxy makes of ours.
const maxDir = 95

// New checks the configuration and starts nothing.
func New(cfg Config) (*Edge, error) {
	dir, err := filepath.Abs(cfg.Dir)
	switch {
	case cfg.Dir == "" || err != nil:
		return nil, abt2.Errorf(abt2.CodeInvalid, "haproxy folder %q: must name a folder", cfg.Dir)
	case len(dir) > maxDir:
		return nil, abt2.Errorf(abt2.CodeInvalid, "haproxy folder %q: is %d bytes long, and sockets in it need it to be at most %d; choose a shorter path", dir, len(dir), maxDir)
	case (cfg.TLSCert == "") != (cfg.TLSKey == ""):
		return nil, abt2.Errorf(abt2.CodeInvalid, "TLS certificate %q and key %q: must be given together", cfg.TLSCert, cfg.TLSKey)
	}
	if _, err := resolveListen(cfg.Listen); err != nil {
		return nil, err
	}
	if cfg.Pages != "" {
		if _, err := netip.ParseAddrPort(cfg.Pages); err != nil {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "address of pages %q: must be ip:port", cfg.Pages)
		}
	}
	if cfg.Program == "" {
		cfg.Program = "haproxy"
	}
	if cfg.HardStopAfter == 0 {
		cfg.HardStopAfter = 30 * time.Minute
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Dir = dir
	return &Edge{
		cfg: cfg, applying: make(chan struct{}, 1), starting: make(chan struct{}, 1), stopped: make(chan struct{}),
	}, nil
}

var (
	_ abt2.Edge    = (*Edge)(nil)
	_ abt2.Drainer = (*Edge)(nil)
	_ abt2.Limiter = (*Edge)(nil)
)

// Limits implements abt2.Limiter.
func (e *Edge) Limits() []string {
	out := []string{"streams of an environment that is taken down are cut when their instances end, not closed politely before"}
	if e.cfg.Pages == "" {
		out = append(out, "an unknown token is served online also while the server is lost: HAProxy does not know that it is")
	}
	f := e.about.Load()
	if f == nil || !f.dropTrailers {
		out = append(out, "trailers of requests are passed on as they come; no module of abt2 reads a stamp there")
	}
	if f == nil || !f.retryMisdirected {
		out = append(out, "a request that an instance refuses as someone else's is answered 503 and not tried elsewhere")
	}
	return out
}

// The files of an HAProxy's folder. What HAProxy is started with lies behind
// the link liveLink, so that configuration and map are replaced at once.
const (
	liveLink     = "live"
	configFile   = "haproxy.cfg"
	mapFile      = "routes.map"
	userFile     = "user.cfg"
	tlsFile      = "tls.pem"
	portFile     = "port"
	errFile      = "haproxy.err"
	masterSocket = "m.sock"
	workerSocket = "w.sock"
	innerSocket  = "i.sock"
)

// liveMap is the map's name for HAProxy: its path from the folder.
const liveMap = liveLink + "/" + mapFile

func (e *Edge) path(name string) string { return filepath.Join(e.cfg.Dir, name) }

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

func (e *Edge) makeDir() error {
	if err := os.MkdirAll(e.cfg.Dir, 0o700); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "haproxy folder %s: cannot be made", e.cfg.Dir)
	}
	return nil
}
