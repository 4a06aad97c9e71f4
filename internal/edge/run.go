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
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
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

	base              context.Context // of every request; ends when they are given up
	stop              context.CancelFunc
	program, settings string // see edgectl.Description

	pages   *template.Template
	metrics *metrics
	carrier carry.Tracker
	names   *names
	drains  changes      // fired when an environment that was asked about is drained
	open    atomic.Int64 // connections of net/http
	closed  changes      // fired when one of them ends

	// What is handed from process to process.
	held   *os.File // the folder's lock
	public *gate
	socket string // path of this process's control socket
	member membership

	giving  sync.Mutex     // held by the hand-over at work, and for good by one that succeeded
	handed  atomic.Bool    // to a successor
	leaving atomic.Bool    // takes no more connections: its own end is near
	given   chan struct{}  // closed when it is
	alone   chan struct{}  // closed when the successor has ended
	links   sync.WaitGroup // of what watches over other processes

	link        *net.UnixConn // to the predecessor, during the hand-over
	predecessor *predecessor  // nil: none
	following   sync.Mutex    // one follow at a time

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
	settings := cfg.Digest()
	if err := cfg.check(); err != nil {
		return err
	}
	if err := makeFolder(cfg.Dir); err != nil {
		return err
	}
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
	s.settings = settings
	defer s.transports.close()
	if err := s.serve(ctx, abandon, first); err != nil {
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
		given: make(chan struct{}), alone: make(chan struct{}),
	}
	if program, err := os.Executable(); err == nil {
		s.program = edgectl.ProgramID(program)
	}
	s.carrier.Drained = func(uint64) {
		s.member.report()
		s.drains.fire()
	}
	s.exchanges.New = s.newExchange
	s.names = &names{serve: s.nameServer, log: s.log, open: map[abt2.ModuleName]*nameListener{}}
	s.routes.Store(&routes{Snapshot: s.router.Snapshot()})
	return s, nil
}

// serve runs all that an edge consists of until ctx ends, or until it has handed
// over, and then winds it up.
func (s *server) serve(ctx context.Context, abandon func(), first *feedpb.EdgeRoutes) error {
	defer s.links.Wait()
	defer s.member.end()
	defer abandon()
	feed, err := s.newFeed()
	if err != nil {
		return err
	}
	outside, err := s.publicServer()
	if err != nil {
		return err
	}
	control, path, err := listenControl(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.socket = path
	defer control.Close()
	defer s.closeSockets()
	took, err := s.openSockets(ctx)
	if err != nil {
		return err
	}
	s.address = s.public.Addr().String()
	if s.cfg.PublicURL == "" {
		s.cfg.PublicURL = publicURL(s.public, s.cfg.TLSCert != "")
	}
	switch {
	case took:
		if err := s.succeed(); err != nil {
			return err
		}
	case first != nil:
		if err := s.apply(first); err != nil {
			return abt2.Wrap(abt2.CodeInvalid, err, "first routes")
		}
	}
	if _, err := feed.Restore(ctx); err != nil && s.routes.Load().message == nil {
		s.log.Error("last routes cannot be read; waiting for the server's", "error", err)
	}
	if !took {
		if err := announce(s.socket, s.cfg.Dir); err != nil {
			return err
		}
	}
	s.member.join(s.base, feed) // until the last request has ended: the server waits for what is carried
	return s.work(ctx, abandon, control, outside)
}

// openSockets takes lock and sockets over, or opens them.
func (s *server) openSockets(ctx context.Context) (took bool, err error) {
	if s.cfg.Takeover {
		if err := s.takeOver(ctx); !errors.Is(err, errNobody) {
			return true, err
		}
	}
	if s.held, err = lock(s.cfg.Dir); err != nil {
		return false, err
	}
	removeSockets(s.socket, s.cfg.Dir)
	s.public, err = listen(&s.cfg)
	return false, err
}

// closeSockets closes what is still open at the end.
func (s *server) closeSockets() {
	s.names.drain(s.base) // ended: at once
	if s.link != nil {
		s.link.Close()
	}
	if s.public != nil {
		_ = s.public.Close()
	}
	if s.held != nil {
		_ = s.held.Close()
	}
}

func (s *server) work(ctx context.Context, abandon func(), control net.Listener, outside *http.Server) error {
	keeper := &http.Server{Handler: s.control(), ErrorLog: s.quiet, ReadHeaderTimeout: 10 * time.Second}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ending(keeper.Serve(control)) })
	g.Go(func() error {
		serve := outside.Serve
		if s.cfg.TLSCert != "" {
			serve = func(l net.Listener) error { return outside.ServeTLS(l, "", "") }
		}
		err := serve(s.public)
		if s.handed.Load() || s.leaving.Load() {
			return nil
		}
		return ending(err)
	})
	retrying, leave := context.WithCancel(ctx)
	g.Go(func() error { s.names.retry(retrying); return nil })
	s.log.Info("edge serves", "id", s.cfg.ID, "address", s.address, "revision", s.routes.Load().Mark().Revision)
	if s.cfg.Ready != nil {
		s.cfg.Ready()
	}
	g.Go(func() error {
		defer leave()
		select {
		case <-ctx.Done():
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
			defer cancel()
			if s.cfg.ListenFD != 0 {
				s.makeWay(drain)
			}
			s.drain(drain, outside)
			s.sayGoodbye()
		case <-s.given:
			s.windUp(ctx, outside)
		}
		abandon()
		_ = keeper.Close()
		return nil
	})
	return g.Wait()
}

// makeWay leaves the socket that was passed to whoever listens on it next. Each
// answer ends its connection, so that no client in the midst of its requests
// finds one closed under the next; those that nobody uses delay the next edge
// for wayTimeout at most.
func (s *server) makeWay(ctx context.Context) {
	s.leaving.Store(true)
	_ = s.public.Close()
	ctx, cancel := context.WithTimeout(ctx, wayTimeout)
	defer cancel()
	s.unconnected(ctx)
}

// wayTimeout bounds how long connections keep the next edge waiting.
const wayTimeout = time.Second

// unconnected returns when net/http has no connection left, or when ctx ends.
func (s *server) unconnected(ctx context.Context) {
	for s.open.Load() > 0 && ctx.Err() == nil {
		next := s.closed.next()
		if s.open.Load() == 0 {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
}

// drain finishes requests until ctx ends. Upgraded connections belong to nobody
// in net/http; they end when the base context does.
func (s *server) drain(ctx context.Context, outside *http.Server) {
	var wg sync.WaitGroup
	wg.Go(func() { s.names.drain(ctx) })
	wg.Go(func() {
		if !s.handed.Load() {
			s.predecessor.stop(ctx)
		}
	})
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
		ConnState:   s.count,
	}
}

// count counts the connections that net/http has: those taken from it are
// streams, and count as what is carried.
func (s *server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
		s.closed.fire()
	}
}

// abilities are what this program can do with visitors.
func abilities() []string {
	var out []string
	for _, a := range abt2.Abilities {
		out = append(out, string(a))
	}
	return out
}

// newFeed prepares the edge's end of the feed.
func (s *server) newFeed() (*feedclient.Client, error) {
	credential, err := s.cfg.credential()
	if err != nil {
		return nil, err
	}
	client, err := feedclient.New(feedclient.Config{
		Server: s.cfg.Server, Credential: credential, State: s.cfg.Dir, Log: s.log,
		Hello:      &feedpb.Hello{RouterId: s.cfg.ID, Role: feedpb.Role_ROLE_EDGE, Stamper: true, Abilities: abilities()},
		Routes:     s.follow,
		Served:     s.served,
		Report:     s.report,
		Watch:      s.watch,
		Close:      s.closeStreams,
		Connection: func(connected bool, _ error) { s.metrics.connected.Store(connected) },
	})
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "server %q", s.cfg.Server)
	}
	return client, nil
}
