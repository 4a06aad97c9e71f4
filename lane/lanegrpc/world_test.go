package lanegrpc_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/baggage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"abt2.dev/lane"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/feedpb/feedpbconnect"
	"abt2.dev/lane/lanegrpc"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// feed is a server that gives every router the same table: the other end is the
// real client.
type feed struct {
	url string

	mu      sync.Mutex
	table   *feedpb.Table
	fetched *feedpb.Table // what Fetch answers; nil: the table
	changed chan struct{} // closed and replaced with each table, and each word of a router
	applied map[string]uint64
	retire  uint64 // an environment whose requests are asked to close; zero: none
	fetches atomic.Int64
}

func newFeed(t testing.TB, table *feedpb.Table) *feed {
	f := &feed{table: table, changed: make(chan struct{}), applied: map[string]uint64{}}
	mux := http.NewServeMux()
	mux.Handle(feedpbconnect.NewFeedServiceHandler(f))
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	f.url = srv.URL
	return f
}

func (f *feed) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) publish(t *feedpb.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table = t
	f.tell()
}

// close asks all routers to close what they carry of an environment.
func (f *feed) close(env uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retire = env
	f.tell()
}

// confirmed waits until the router serves from the table of a revision.
func (f *feed) confirmed(t testing.TB, router string, revision uint64) {
	t.Helper()
	ctx := testContext(t)
	for {
		f.mu.Lock()
		have, changed := f.applied[router], f.changed
		f.mu.Unlock()
		if have >= revision {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s never confirmed revision %d", router, revision)
		}
	}
}

func (f *feed) Join(ctx context.Context, s *connect.BidiStream[feedpb.RouterMessage, feedpb.ServerMessage]) error {
	if err := s.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Welcome{Welcome: &feedpb.Welcome{Protocol: 1}}}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		router := ""
		for {
			m, err := s.Receive()
			if err != nil || m.GetGoodbye() != nil {
				return
			}
			f.mu.Lock()
			if h := m.GetHello(); h != nil {
				router = h.GetRouterId()
			}
			if a := m.GetApplied(); a != nil && a.GetRefused() == "" {
				f.applied[router] = a.GetMark().GetRevision()
				f.tell()
			}
			f.mu.Unlock()
		}
	}()
	var sent *feedpb.Table
	for {
		f.mu.Lock()
		table, retire, changed := f.table, f.retire, f.changed
		f.mu.Unlock()
		if retire != 0 {
			read := &feedpb.Read{Id: 1, Subject: feedpb.Read_SUBJECT_REPORT, Drained: retire, Close: retire}
			if err := s.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Read{Read: read}}); err != nil {
				return err
			}
		}
		if table != sent {
			if err := s.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: table}}); err != nil {
				return err
			}
			sent = table
		}
		select {
		case <-changed:
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *feed) Fetch(context.Context, *connect.Request[feedpb.FetchRequest]) (*connect.Response[feedpb.Table], error) {
	f.fetches.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fetched != nil {
		return connect.NewResponse(f.fetched), nil
	}
	return connect.NewResponse(f.table), nil
}

// tableOf describes the default product: environments like "42 online web@1
// order@3", and the addresses of versions. Instances are order-3-a, order-3-b, ….
func tableOf(revision, highest uint64, addresses map[string][]string, environments ...string) *feedpb.Table {
	t := &feedpb.Table{Mark: &feedpb.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: highest, Products: []*feedpb.Product{{Name: "default"}}}
	p := t.Products[0]
	named := map[string]bool{}
	for _, s := range environments {
		words := strings.Fields(s)
		id, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil {
			panic(err)
		}
		t.Environments = append(t.Environments, &feedpb.Environment{Id: id, Product: "default", Versions: words[2:], WasOnline: words[1] != "preview"})
		switch words[1] {
		case "online":
			p.Online = id
		case "preview":
			p.Preview = id
		case "backup":
			p.Backup = id
		}
		for _, v := range words[2:] {
			named[v] = true
		}
	}
	for v := range named {
		version := &feedpb.Version{Id: v, Kind: "service", Fallback: "none"}
		if strings.HasPrefix(v, "soft@") {
			version.Fallback = "online"
		}
		for i, a := range addresses[v] {
			version.Instances = append(version.Instances, &feedpb.Instance{Id: instance(v, i), Address: a})
		}
		t.Versions = append(t.Versions, version)
	}
	return t
}

func instance(version string, i int) string {
	return strings.ReplaceAll(version, "@", "-") + "-" + string(rune('a'+i))
}

// join makes a Lane of an instance of a version.
func (f *feed) join(t testing.TB, version, instance string) *lane.Lane {
	t.Helper()
	module, _, _ := strings.Cut(version, "@")
	l, err := lane.Join(testContext(t), lane.Server(f.url, ""), lane.Identity(module, version, instance, "default"),
		lane.State(""), lane.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(testContext(t)); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// dial connects the caller, web-1 of web@1, to a module.
func dial(t testing.TB, l *lane.Lane, module string) testpb.TestServiceClient {
	t.Helper()
	return testpb.NewTestServiceClient(open(t, l, module))
}

func open(t testing.TB, l *lane.Lane, module string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("abt2:///"+module, lanegrpc.DialOptions(l)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dialPlainly connects to an address as a program does that knows nothing of abt2.
func dialPlainly(t testing.TB, address string) testpb.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testpb.NewTestServiceClient(conn)
}

// listener counts the connections it has accepted.
type listener struct {
	net.Listener
	address  string
	accepted atomic.Int64
}

func listen(t testing.TB) *listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return &listener{Listener: ln, address: ln.Addr().String()}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// refusing is an address where nobody listens.
func refusing(t testing.TB) string {
	ln := listen(t)
	_ = ln.Close()
	return ln.address
}

// serve serves an instance on a listener until the test ends or it is stopped.
func (f *feed) serve(t testing.TB, ln *listener, version, id string) *grpc.Server {
	t.Helper()
	srv := grpc.NewServer(lanegrpc.ServerOptions(f.join(t, version, id))...)
	testpb.RegisterTestServiceServer(srv, &service{name: version + "/" + id})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
	return srv
}

// listenAll makes a listener for one instance of each version.
func listenAll(t testing.TB, versions ...string) (listeners map[string]*listener, addresses map[string][]string) {
	listeners, addresses = map[string]*listener{}, map[string][]string{}
	for _, v := range versions {
		ln := listen(t)
		listeners[v] = ln
		addresses[v] = []string{ln.address}
	}
	return listeners, addresses
}

// service answers with who it is, and the environment and the baggage of the
// context that it was called with.
type service struct {
	testpb.UnimplementedTestServiceServer
	name  string
	calls atomic.Int64
}

func (s *service) seen(ctx context.Context) string {
	s.calls.Add(1)
	env, _ := lane.Environment(ctx)
	bag := baggage.FromContext(ctx)
	return fmt.Sprintf("%s in %d, user %s, baggage %s", s.name, env, bag.Member("user").Value(), bag.Member("abt2.env").Value())
}

func (s *service) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{ServerId: s.seen(ctx)}, nil
}

func output(text string) *testpb.StreamingOutputCallResponse {
	return &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(text)}}
}

// StreamingOutputCall answers twice.
func (s *service) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	text := s.seen(stream.Context())
	for range 2 {
		if err := stream.Send(output(text)); err != nil {
			return err
		}
	}
	return nil
}

// StreamingInputCall counts the messages.
func (s *service) StreamingInputCall(stream grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	n := int32(0)
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: n})
		} else if err != nil {
			return err
		}
		n++
	}
}

// HalfDuplexCall sends until it cannot.
func (s *service) HalfDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		if err := stream.Send(output(s.name)); err != nil {
			return err
		}
	}
}

// FullDuplexCall speaks first, then answers each message.
func (s *service) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	text := s.seen(stream.Context())
	for {
		if err := stream.Send(output(text)); err != nil {
			return err
		}
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// kind is one kind of call, which returns what was seen by who answered.
type kind struct {
	name string
	call func(context.Context, testpb.TestServiceClient) (string, error)
}

var kinds = []kind{
	{"unary", unary},
	{"server stream", serverStream},
	{"duplex", duplex},
}

func unary(ctx context.Context, c testpb.TestServiceClient) (string, error) {
	res, err := c.UnaryCall(ctx, &testpb.SimpleRequest{})
	return res.GetServerId(), err
}

func serverStream(ctx context.Context, c testpb.TestServiceClient) (string, error) {
	s, err := c.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
	if err != nil {
		return "", err
	}
	first := ""
	for {
		m, err := s.Recv()
		if err == io.EOF {
			return first, nil
		} else if err != nil {
			return "", err
		}
		first = string(m.GetPayload().GetBody())
	}
}

// duplex receives before it sends.
func duplex(ctx context.Context, c testpb.TestServiceClient) (string, error) {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return "", err
	}
	m, err := s.Recv()
	if err != nil {
		return "", err
	}
	if err := s.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
		return "", err
	}
	if _, err := s.Recv(); err != nil {
		return "", err
	}
	if err := s.CloseSend(); err != nil {
		return "", err
	}
	if _, err := s.Recv(); err != io.EOF {
		return "", fmt.Errorf("after the end: %w", err)
	}
	return string(m.GetPayload().GetBody()), nil
}
