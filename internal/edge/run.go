package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"html/template"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"abt2.dev"
	"abt2.dev/lane/carry"
	"abt2.dev/lane/feedclient"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// server is an edge process.
type server struct {
	cfg     Config
	log     *slog.Logger
	quiet   *log.Logger // for net/http's own words: what clients do wrong
	boot    string
	started time.Time
	address string

	base    context.Context // of every request; ends when they are given up
	stop    context.CancelFunc
	pages   *template.Template
	metrics *metrics
	carrier carry.Tracker
	names   *names

	router     *route.Router
	routes     atomic.Pointer[routes]
	transports transports
	buffers    bufferPool
	exchanges  sync.Pool
}

// Run is the program of an edge. It serves until ctx ends, or until it is
// stopped over its control socket; then it takes no more requests, finishes
// those it has for at most DrainTimeout, and returns nil. An error means that
// it could not start or had to end. Without a server, and across its own
// restarts, it serves the last routes it was given.
func Run(ctx context.Context, cfg Config) error { return run(ctx, cfg, nil) }

// run is Run, with routes to begin with where there are none in the folder yet.
func run(ctx context.Context, cfg Config, first *feedpb.EdgeRoutes) error {
	if err := cfg.check(); err != nil {
		return err
	}
	held, err := lock(cfg.Dir)
	if err != nil {
		return err
	}
	defer held.Close()
	if cfg.Log == nil {
		out, err := openLog(cfg.Dir)
		if err != nil {
			return err
		}
		defer out.Close()
		cfg.Log = slog.New(slog.NewJSONHandler(out, nil))
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	s, err := newServer(cfg, base, stop)
	if err != nil {
		return err
	}
	defer s.transports.close()
	if first != nil {
		if err := s.apply(first); err != nil {
			return abt2.Wrap(abt2.CodeInvalid, err, "first routes")
		}
	}
	if err := s.serve(ctx, abandon); err != nil {
		s.log.Error("edge ended", "error", err)
		return err
	}
	s.log.Info("edge ended")
	return nil
}

func newServer(cfg Config, base context.Context, stop context.CancelFunc) (*server, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "the edge's pages cannot be read")
	}
	s := &server{
		cfg: cfg, log: cfg.Log, quiet: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		boot: bootID(), started: time.Now(), base: base, stop: stop,
		pages: pages, metrics: newMetrics(), router: route.New(), transports: newTransports(),
	}
	s.exchanges.New = s.newExchange
	s.names = &names{serve: s.nameServer, log: s.log, open: map[abt2.ModuleName]*nameListener{}}
	s.routes.Store(&routes{Snapshot: s.router.Snapshot()})
	return s, nil
}

// serve runs all that an edge consists of until ctx ends, and then winds it up.
func (s *server) serve(ctx context.Context, abandon func()) error {
	feed, err := s.newFeed()
	if err != nil {
		return err
	}
	control, err := listenControl(s.cfg.Dir)
	if err != nil {
		return err
	}
	defer control.Close()
	public, err := listen(&s.cfg)
	if err != nil {
		return err
	}
	defer public.Close()
	s.address = public.Addr().String()
	if s.cfg.PublicURL == "" {
		s.cfg.PublicURL = publicURL(public, s.cfg.TLSCert != "")
	}
	outside, err := s.publicServer()
	if err != nil {
		return err
	}
	keeper := &http.Server{Handler: s.control(), ErrorLog: s.quiet, ReadHeaderTimeout: 10 * time.Second}
	if _, err := feed.Restore(ctx); err != nil {
		s.log.Error("last routes cannot be read; waiting for the server's", "error", err)
	}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ending(keeper.Serve(control)) })
	g.Go(func() error {
		if s.cfg.TLSCert != "" {
			return ending(outside.ServeTLS(public, "", ""))
		}
		return ending(outside.Serve(public))
	})
	g.Go(func() error { s.names.retry(ctx); return nil })
	g.Go(func() error {
		_ = feed.Run(s.base) // until the last request has ended: the server waits for what is carried
		return nil
	})
	s.log.Info("edge serves", "id", s.cfg.ID, "address", s.address, "revision", s.routes.Load().Mark().Revision)
	g.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
		defer cancel()
		s.drain(drain, outside)
		abandon()
		_ = keeper.Close()
		return nil
	})
	return g.Wait()
}

// drain finishes requests until ctx ends. Upgraded connections belong to nobody
// in net/http; they end when the base context does.
func (s *server) drain(ctx context.Context, outside *http.Server) {
	var wg sync.WaitGroup
	wg.Go(func() { s.names.drain(ctx) })
	wg.Go(func() {
		if outside.Shutdown(ctx) != nil {
			_ = outside.Close()
		}
	})
	wg.Wait()
}

func ending(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return abt2.Wrap(abt2.CodeFailed, err, "the edge cannot go on listening")
}

// publicServer is what users reach.
func (s *server) publicServer() (*http.Server, error) {
	srv := s.httpServer(http.HandlerFunc(s.serveOutside))
	if s.cfg.TLSCert == "" {
		return srv, nil
	}
	cert, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "TLS certificate %s and key %s: cannot be used together", s.cfg.TLSCert, s.cfg.TLSKey)
	}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return srv, nil
}

func (s *server) nameServer(module string) *http.Server { return s.httpServer(s.serveName(module)) }

// httpServer speaks HTTP/1.1 and, without TLS, HTTP/2.
func (s *server) httpServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, Protocols: protocols, ErrorLog: s.quiet,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		BaseContext: func(net.Listener) context.Context { return s.base },
	}
}

// newFeed prepares the edge's end of the feed.
func (s *server) newFeed() (*feedclient.Client, error) {
	credential, err := s.cfg.credential()
	if err != nil {
		return nil, err
	}
	var client *feedclient.Client
	client, err = feedclient.New(feedclient.Config{
		Server: s.cfg.Server, Credential: credential, State: s.cfg.Dir, Log: s.log,
		Hello:      &feedpb.Hello{RouterId: s.cfg.ID, Role: feedpb.Role_ROLE_EDGE, Stamper: true},
		Routes:     func(_ context.Context, r *feedpb.EdgeRoutes) error { return s.apply(r) },
		Served:     s.served,
		Report:     s.report,
		Watch:      func(env uint64) { s.carrier.Watch(env) },
		Connection: func(connected bool, _ error) { s.metrics.connected.Store(connected) },
	})
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "server %q", s.cfg.Server)
	}
	s.carrier.Drained = func(uint64) { client.Report() }
	return client, nil
}
