package feed_test

import (
	"bytes"
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"abt2.dev"
	"abt2.dev/internal/feed"
	"abt2.dev/lane/feedclient"
	"abt2.dev/lane/feedpb"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// soon is a context for waits that must fail: it ends as soon as the wait has begun.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// ended is a context for calls that are to return as soon as they have begun.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// server is a Feed on a real listener. A credential is KIND:ID.
type server struct {
	*feed.Feed
	url  string
	stop func()
}

func start(t testing.TB) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l)
}

func startOn(t testing.TB, l net.Listener) *server {
	t.Helper()
	f := feed.New(slog.New(slog.DiscardHandler), feed.AuthenticatorFunc(func(_ context.Context, bearer string) (feed.Identity, error) {
		kind, id, ok := strings.Cut(bearer, ":")
		if !ok {
			return feed.Identity{}, abt2.Errorf(abt2.CodeUnauthorized, "unknown credential")
		}
		return feed.Identity{Kind: feed.Kind(kind), ID: id}, nil
	}))
	mux := http.NewServeMux()
	mux.Handle(f.Handler())
	srv := httptest.NewUnstartedServer(mux)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Config.ErrorLog = log.New(noPanic{t}, "", 0)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	stop := sync.OnceFunc(func() { f.Close(); srv.Close() })
	t.Cleanup(stop)
	return &server{Feed: f, url: srv.URL, stop: stop}
}

// noPanic is a log of net/http's, which survives the panics of handlers.
type noPanic struct{ testing.TB }

func (t noPanic) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("panic")) {
		t.Errorf("%s", b)
	}
	return len(b), nil
}

// router is a real client, and what it was given.
type router struct {
	*feedclient.Client
	stop func()

	mu      sync.Mutex
	table   *feedpb.Table
	served  *feedpb.EdgeRoutes
	refuse  error
	carried map[uint64]*feedpb.Carried
	hold    chan struct{} // applying waits for it; nil: it does not
}

func (r *router) apply(set func()) error {
	if r.hold != nil {
		<-r.hold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse == nil {
		set()
	}
	return r.refuse
}

func (r *router) carry(env uint64, n uint64) {
	r.mu.Lock()
	r.carried = map[uint64]*feedpb.Carried{}
	if n > 0 {
		r.carried[env] = &feedpb.Carried{Count: n, OldestAgeMs: 1500}
	}
	r.mu.Unlock()
	r.Report()
}

func (s *server) join(t *testing.T, r *router, credential string, hello *feedpb.Hello) *router {
	t.Helper()
	c, err := feedclient.New(feedclient.Config{
		Server: s.url, Credential: credential, Hello: hello,
		Table: func(_ context.Context, table *feedpb.Table) error {
			return r.apply(func() { r.table = table })
		},
		Routes: func(_ context.Context, routes *feedpb.EdgeRoutes) error {
			return r.apply(func() { r.served = routes })
		},
		Served: func() *feedpb.EdgeRoutes { r.mu.Lock(); defer r.mu.Unlock(); return r.served },
		Report: func() *feedpb.Report {
			r.mu.Lock()
			defer r.mu.Unlock()
			return &feedpb.Report{Carried: r.carried, Mixed: map[string]uint64{"order@4 order@3": 2, "none order@3": 1}, Restamped: 3, Stamped: 1}
		},
		Close: func(env uint64) {
			r.mu.Lock()
			delete(r.carried, env)
			r.mu.Unlock()
			r.Report()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Client = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	return r
}

func (s *server) joinProcess(t *testing.T, id string) *router { return s.joinAs(t, &router{}, id) }

func (s *server) joinAs(t *testing.T, r *router, id string) *router {
	t.Helper()
	return s.join(t, r, "instance:"+id, &feedpb.Hello{RouterId: id, Role: feedpb.Role_ROLE_PROCESS, Instance: id, Module: "order", Version: "order@3"})
}

func (s *server) joinEdge(t *testing.T, r *router, id string) *router {
	t.Helper()
	return s.join(t, r, "edge:"+id, &feedpb.Hello{RouterId: id, Role: feedpb.Role_ROLE_EDGE})
}

// until waits until the status of a router is as it should be.
func (s *server) until(t testing.TB, id string, ok func(feed.RouterStatus, bool) bool) {
	t.Helper()
	ctx := testContext(t)
	for {
		changed := s.Changed()
		var found bool
		var status feed.RouterStatus
		for _, r := range s.Routers() {
			if r.ID == id {
				status, found = r, true
			}
		}
		if ok(status, found) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("router %s never got there: known %v, %+v", id, found, status)
		}
	}
}

func connected(r feed.RouterStatus, _ bool) bool { return r.Connected }

func table(revision uint64) abt2.Table {
	return abt2.Table{
		Mark:               abt2.Mark{Epoch: "e", Revision: revision},
		HighestEnvironment: 1,
		Products:           []abt2.TableProduct{{Name: "default", Online: 1}},
		Environments:       []abt2.TableEnvironment{{ID: 1, Product: "default"}},
	}
}

func TestPublishReachesRoutersBeforeAndAfter(t *testing.T) {
	s := start(t)
	a := s.joinProcess(t, "order-1")
	s.until(t, "order-1", connected)
	s.Publish(table(7))
	b := s.joinProcess(t, "order-2")
	s.until(t, "order-2", connected)
	if err := s.WaitApplied(testContext(t), table(7).Mark, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*router{a, b} {
		got, err := feed.TableFromProto(r.table)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(table(7), got); d != "" {
			t.Error(d)
		}
	}
	s.Publish(table(6)) // older: ignored
	s.Publish(table(8))
	if err := s.WaitApplied(testContext(t), table(8).Mark, nil); err != nil {
		t.Fatal(err)
	}
	want := feed.RouterStatus{
		RouterStatus: abt2.RouterStatus{
			ID: "order-1", Role: "process", Version: abt2.VersionID{Module: "order", Number: 3},
			Connected: true, Applied: table(8).Mark, Stamper: true, Mixed: 3, Restamped: 3,
		},
		Instance: "order-1", Carried: map[abt2.EnvironmentID]feed.Carried{},
		MixedPairs: map[string]uint64{"order@4 order@3": 2, "none order@3": 1},
	}
	s.until(t, "order-1", func(r feed.RouterStatus, _ bool) bool { return r.Stamper })
	if d := cmp.Diff(want, s.Routers()[0]); d != "" {
		t.Error(d)
	}
}

func TestLaggardsAreNamedAndStayUntilGoodbye(t *testing.T) {
	s := start(t)
	s.Publish(table(1))
	a := s.joinProcess(t, "order-1")
	b := s.joinProcess(t, "order-2")
	s.until(t, "order-1", connected)
	s.until(t, "order-2", connected)
	if err := s.WaitApplied(testContext(t), table(1).Mark, nil); err != nil {
		t.Fatal(err)
	}
	b.stop() // broken off without goodbye
	s.until(t, "order-2", func(r feed.RouterStatus, known bool) bool { return known && !r.Connected })
	s.Publish(table(2))
	err := s.WaitApplied(soon(t), table(2).Mark, nil)
	if abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), "order@3 order-2 (not connected, has 1)") {
		t.Fatalf("got %v", err)
	}
	if err := s.WaitApplied(testContext(t), table(2).Mark, func(r feed.RouterStatus) bool { return r.ID != "order-2" }); err != nil {
		t.Fatal(err)
	}
	if late := s.Laggards(table(2).Mark); len(late) != 1 || late[0].ID != "order-2" {
		t.Fatalf("laggards: %+v", late)
	}
	s.Forget("order-2")
	if err := a.Goodbye(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if left := s.Routers(); len(left) != 0 {
		t.Fatalf("after goodbye and forget: %+v", left)
	}
}

// TestSlowRouterDelaysNobody lets one router hang while it applies.
func TestSlowRouterDelaysNobody(t *testing.T) {
	s := start(t)
	slow := &router{hold: make(chan struct{})}
	s.joinAs(t, slow, "slow")
	s.joinProcess(t, "quick")
	s.until(t, "slow", connected)
	s.until(t, "quick", connected)
	for i := range uint64(100) {
		s.Publish(table(i + 1))
	}
	if err := s.WaitApplied(testContext(t), table(100).Mark, func(r feed.RouterStatus) bool { return r.ID == "quick" }); err != nil {
		t.Fatal(err)
	}
	if late := s.Laggards(table(1).Mark); len(late) != 1 || late[0].ID != "slow" {
		t.Fatalf("laggards: %+v", late)
	}
	close(slow.hold)
	if err := s.WaitApplied(testContext(t), table(100).Mark, nil); err != nil {
		t.Fatal(err)
	}
}

func TestEdgeAppliesAndReads(t *testing.T) {
	s := start(t)
	routes := func(revision uint64) abt2.EdgeRoutes {
		return abt2.EdgeRoutes{Table: table(revision), Tokens: map[abt2.TokenDigest]abt2.EnvironmentID{"d": 1}}
	}
	if err := s.Apply(soon(t), "edge-1", routes(1)); abt2.CodeOf(err) != abt2.CodeUnconfirmed || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without the edge: %v", err)
	}
	if _, err := s.Read(soon(t), "edge-1"); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Fatalf("read without the edge: %v", err)
	}
	if ids := s.Edges(); len(ids) != 1 || ids[0] != "edge-1" {
		t.Fatalf("edges: %v", ids)
	}

	r := &router{}
	s.joinEdge(t, r, "edge-1")
	edge := s.Edge("edge-1")
	if err := edge.Apply(testContext(t), routes(2)); err != nil {
		t.Fatal(err)
	}
	got, err := edge.Read(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(routes(2), got); d != "" {
		t.Error(d)
	}
	if err := edge.Apply(testContext(t), routes(2)); err != nil {
		t.Fatalf("the same again: %v", err)
	}
	if err := edge.Apply(testContext(t), routes(1)); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Fatalf("older: %v", err)
	}

	r.mu.Lock()
	r.refuse = errors.New("prefix / is taken")
	r.mu.Unlock()
	if err := edge.Apply(testContext(t), routes(3)); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "prefix / is taken") {
		t.Fatalf("refused by the edge: %v", err)
	}
	if st := s.Routers()[0]; st.Applied.Revision != 2 {
		t.Errorf("after a refusal the edge serves revision %d, want 2", st.Applied.Revision)
	}
}

// TestEdgeThatComesBackIsGivenItsRoutes confirms only what the new process applied.
func TestEdgeThatComesBackIsGivenItsRoutes(t *testing.T) {
	s := start(t)
	first := s.joinEdge(t, &router{}, "edge-1")
	if err := s.Apply(testContext(t), "edge-1", abt2.EdgeRoutes{Table: table(1)}); err != nil {
		t.Fatal(err)
	}
	first.stop()
	s.until(t, "edge-1", func(r feed.RouterStatus, _ bool) bool { return !r.Connected })
	applied := make(chan error, 1)
	go func() { applied <- s.Apply(testContext(t), "edge-1", abt2.EdgeRoutes{Table: table(2)}) }()
	second := s.joinEdge(t, &router{}, "edge-1")
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if got := second.served.GetTable().GetMark().GetRevision(); got != 2 {
		t.Errorf("serves %d", got)
	}
}

func TestReadOfAnEdgeThatServesNothing(t *testing.T) {
	s := start(t)
	s.joinEdge(t, &router{}, "edge-1")
	got, err := s.Read(testContext(t), "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(abt2.EdgeRoutes{}, got); d != "" {
		t.Error(d)
	}
}

func TestWaitDrained(t *testing.T) {
	s := start(t)
	r := s.joinProcess(t, "order-1")
	s.until(t, "order-1", connected)
	if err := s.WaitDrained(testContext(t), 42); err != nil {
		t.Fatal(err)
	}
	r.carry(42, 3)
	err := s.WaitDrained(soon(t), 42)
	if abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), "order@3 order-1 (3, the oldest for 1.5s)") {
		t.Fatalf("got %v", err)
	}
	if err := s.WaitDrained(testContext(t), 41); err != nil {
		t.Fatalf("another environment: %v", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.WaitDrained(testContext(t), 42) }()
	r.carry(42, 0)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
}

func TestCloseStreams(t *testing.T) {
	s := start(t)
	r, other := s.joinProcess(t, "order-1"), s.joinProcess(t, "order-2")
	s.until(t, "order-1", connected)
	s.until(t, "order-2", connected)
	r.carry(42, 3)
	other.carry(43, 1)
	s.CloseStreams(41, false)
	s.CloseStreams(42, true)
	if err := s.WaitDrained(soon(t), 42); abt2.CodeOf(err) != abt2.CodeUnconfirmed {
		t.Fatalf("streams of another environment, and of edges: %v", err)
	}
	s.CloseStreams(42, false)
	if err := s.WaitDrained(testContext(t), 42); err != nil {
		t.Fatal(err)
	}
}

// TestAnEdgeThatIsAwayMayCarry: it may be between two processes.
func TestAnEdgeThatIsAwayMayCarry(t *testing.T) {
	s := start(t)
	e := s.joinEdge(t, &router{}, "edge-1")
	s.until(t, "edge-1", connected)
	e.stop()
	s.until(t, "edge-1", func(r feed.RouterStatus, _ bool) bool { return !r.Connected })
	if err := s.WaitDrained(soon(t), 42); abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), "edge edge-1 (not connected)") {
		t.Errorf("got %v", err)
	}
}

func TestNewestStreamOfARouterWins(t *testing.T) {
	s := start(t)
	first := s.joinProcess(t, "order-1")
	s.until(t, "order-1", connected)
	second := s.joinProcess(t, "order-1")
	s.Publish(table(1))
	first.stop()
	if err := s.WaitApplied(testContext(t), table(1).Mark, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Routers()); n != 1 {
		t.Errorf("%d routers", n)
	}
	second.stop()
}

func TestJoinIsRefused(t *testing.T) {
	s := start(t)
	process := feedpb.Hello{RouterId: "order-1", Role: feedpb.Role_ROLE_PROCESS, Instance: "order-1", Module: "order", Version: "order@3"}
	for _, tt := range []struct {
		name, credential string
		hello            *feedpb.Hello
		want             connect.Code
	}{
		{"no credential", "", &process, connect.CodeUnauthenticated},
		{"wrong credential", "guess", &process, connect.CodeUnauthenticated},
		{"another instance's credential", "instance:order-2", &process, connect.CodePermissionDenied},
		{"an edge's credential", "edge:order-1", &process, connect.CodePermissionDenied},
		{"instance posing as edge", "instance:edge-1", &feedpb.Hello{RouterId: "edge-1", Role: feedpb.Role_ROLE_EDGE}, connect.CodePermissionDenied},
		{"no role", "instance:order-1", &feedpb.Hello{RouterId: "order-1"}, connect.CodeInvalidArgument},
		{"malformed version", "instance:order-1", &feedpb.Hello{RouterId: "order-1", Role: feedpb.Role_ROLE_PROCESS, Instance: "order-1", Module: "order", Version: "three"}, connect.CodeInvalidArgument},
		{"version of another module", "instance:order-1", &feedpb.Hello{RouterId: "order-1", Role: feedpb.Role_ROLE_PROCESS, Instance: "order-1", Module: "order", Version: "stock@3"}, connect.CodeInvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused := make(chan error, 1)
			c, err := feedclient.New(feedclient.Config{
				Server: s.url, Credential: tt.credential, Hello: tt.hello,
				Table:  func(context.Context, *feedpb.Table) error { return nil },
				Routes: func(context.Context, *feedpb.EdgeRoutes) error { return nil },
				Connection: func(connected bool, err error) {
					if connected {
						err = errors.New("accepted")
					}
					select {
					case refused <- err:
					default:
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(testContext(t))
			done := make(chan struct{})
			go func() { defer close(done); _ = c.Run(ctx) }()
			err = <-refused
			cancel()
			<-done
			if connect.CodeOf(err) != tt.want {
				t.Errorf("got %v, want code %s", err, tt.want)
			}
			if n := len(s.Routers()); n != 0 {
				t.Errorf("%d routers are known", n)
			}
		})
	}
}

func TestFetch(t *testing.T) {
	s := start(t)
	r := s.joinProcess(t, "order-1")
	if _, err := r.Fetch(testContext(t), 9); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Fatalf("before the first table: %v", err)
	}
	s.Publish(table(3))
	got, err := r.Fetch(testContext(t), 9)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetMark().GetRevision() != 3 {
		t.Errorf("got %v", got)
	}
	stranger, err := feedclient.New(feedclient.Config{Server: s.url, Credential: "guess", Hello: &feedpb.Hello{RouterId: "x"}, Table: func(context.Context, *feedpb.Table) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Fetch(testContext(t), 9); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("without a credential: %v", err)
	}
}

// TestRoutersComeBackToANewServer replaces the server by one of another epoch
// at the same address.
func TestRoutersComeBackToANewServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	first := startOn(t, listener)
	first.Publish(table(9))
	r := first.joinProcess(t, "order-1")
	first.until(t, "order-1", connected)
	if err := first.WaitApplied(testContext(t), table(9).Mark, nil); err != nil {
		t.Fatal(err)
	}
	first.stop()

	if listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	second := startOn(t, listener)
	restored := table(1)
	restored.Mark.Epoch = "restored"
	second.Publish(restored)
	second.until(t, "order-1", connected)
	if err := second.WaitApplied(testContext(t), restored.Mark, nil); err != nil {
		t.Fatal(err)
	}
	if got := r.table.GetMark().GetEpoch(); got != "restored" {
		t.Errorf("epoch %q", got)
	}
}
