package navi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"abt2.dev/lane"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/feedpb/feedpbconnect"
	"abt2.dev/lane/navi"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// feed is a server that gives every router one table.
type feed struct {
	feedpbconnect.UnimplementedFeedServiceHandler
	url   string
	table *feedpb.Table
}

// newFeed describes the default product: environments 42, which is online with
// order@3, and 43, a preview with order@4, and where those answer.
func newFeed(t testing.TB, order3, order4 []string) *feed {
	f := &feed{table: &feedpb.Table{
		Mark: &feedpb.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: 43,
		Products: []*feedpb.Product{{Name: "default", Online: 42, Preview: 43}},
		Environments: []*feedpb.Environment{
			{Id: 42, Product: "default", Versions: []string{"web@1", "order@3"}, WasOnline: true},
			{Id: 43, Product: "default", Versions: []string{"web@1", "order@4"}},
		},
		Versions: []*feedpb.Version{
			{Id: "web@1", Kind: "edge", Prefix: "/", Fallback: "none"},
			{Id: "order@3", Kind: "service", Fallback: "none", Instances: instances("order-3", order3)},
			{Id: "order@4", Kind: "service", Fallback: "none", Instances: instances("order-4", order4)},
		},
	}}
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

func instances(version string, addresses []string) (out []*feedpb.Instance) {
	for i, a := range addresses {
		out = append(out, &feedpb.Instance{Id: fmt.Sprintf("%s-%d", version, i+1), Address: a})
	}
	return out
}

func (f *feed) Join(ctx context.Context, s *connect.BidiStream[feedpb.RouterMessage, feedpb.ServerMessage]) error {
	for _, m := range []*feedpb.ServerMessage{
		{Message: &feedpb.ServerMessage_Welcome{Welcome: &feedpb.Welcome{Protocol: 1}}},
		{Message: &feedpb.ServerMessage_Table{Table: f.table}},
	} {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	for {
		if m, err := s.Receive(); err != nil || m.GetGoodbye() != nil {
			return nil
		}
	}
}

// join makes a Lane of an instance of a version.
func (f *feed) join(t testing.TB, version, instance string) *lane.Lane {
	t.Helper()
	module, _, _ := strings.Cut(version, "@")
	return join(t, lane.Server(f.url, ""), lane.Identity(module, version, instance, "default"))
}

// outside makes a Lane that knows order's addresses and no environments.
func outside(t testing.TB, order ...string) *lane.Lane {
	t.Helper()
	return join(t, lane.Server("", ""), lane.Static(map[string][]string{"order": order}))
}

func join(t testing.TB, options ...lane.Option) *lane.Lane {
	t.Helper()
	l, err := lane.Join(testContext(t), append(options, lane.State(""), lane.Logger(slog.New(slog.DiscardHandler)))...)
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

// order is what Orders, the interface of both ends, is about.
type order struct {
	ID   int64  `json:"id"`
	Item string `json:"item"`
}

// orders serves Orders as testdata/java/Server.java does.
var orders = navi.Service{
	"get": navi.Func1(func(_ context.Context, id int64) (order, error) { return order{id, "book"}, nil }),
	"join": navi.Func2(func(_ context.Context, text string, times int) (string, error) {
		return strings.Repeat(text, times), nil
	}),
	"nothing": navi.Func0(func(context.Context) (any, error) { return nil, nil }),
	"missing": navi.Func1(func(context.Context, int64) (*order, error) { return nil, nil }),
	"refuse":  navi.Func1(func(_ context.Context, why string) (any, error) { return nil, errors.New(why) }),
	"slow":    navi.Func1(func(ctx context.Context, _ int64) (func(), error) { return func() {}, nil }), // cannot be encoded
	"received": navi.Func0(func(ctx context.Context) (uint64, error) {
		env, _ := lane.Environment(ctx)
		return env, nil
	}),
}

// serve serves Orders in Go and returns the address.
func serve(t testing.TB, l *lane.Lane) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(navi.Prefix, navi.NewServer(l, map[string]navi.Service{"Orders": orders}))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// refusing is an address where nobody listens.
func refusing(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
