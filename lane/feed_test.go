package lane_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/feedpb/feedpbconnect"
)

// fakeFeed is a server that gives every router the same table: the other end is
// the real client.
type fakeFeed struct {
	mu      sync.Mutex
	table   *feedpb.Table
	changed chan struct{} // closed and replaced with each table
	fetched *feedpb.Table // what Fetch answers; nil: the table
	fetches int

	said chan *feedpb.RouterMessage
	asks chan *feedpb.Read // to be sent
}

func newFakeFeed(table *feedpb.Table) *fakeFeed {
	return &fakeFeed{table: table, changed: make(chan struct{}), said: make(chan *feedpb.RouterMessage, 1000), asks: make(chan *feedpb.Read)}
}

func (f *fakeFeed) publish(t *feedpb.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table = t
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeFeed) current() (*feedpb.Table, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table, f.changed
}

func (f *fakeFeed) Join(ctx context.Context, s *connect.BidiStream[feedpb.RouterMessage, feedpb.ServerMessage]) error {
	if s.RequestHeader().Get("Authorization") != "Bearer secret" {
		return connect.NewError(connect.CodeUnauthenticated, errors.New("wrong credential"))
	}
	if err := s.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Welcome{Welcome: &feedpb.Welcome{Protocol: 1}}}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := s.Receive()
			if err != nil {
				return
			}
			f.said <- m
			if m.GetGoodbye() != nil {
				return
			}
		}
	}()
	for {
		table, changed := f.current()
		if table != nil {
			if err := s.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: table}}); err != nil {
				return err
			}
		}
		select {
		case read := <-f.asks:
			if err := s.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Read{Read: read}}); err != nil {
				return err
			}
		case <-changed:
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fakeFeed) Fetch(context.Context, *connect.Request[feedpb.FetchRequest]) (*connect.Response[feedpb.Table], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetches++
	if f.fetched != nil {
		return connect.NewResponse(f.fetched), nil
	}
	return connect.NewResponse(f.table), nil
}

// await returns the first message from now on that ok accepts.
func (f *fakeFeed) await(t testing.TB, ok func(*feedpb.RouterMessage) bool) {
	t.Helper()
	ctx := testContext(t)
	for {
		select {
		case m := <-f.said:
			if ok(m) {
				return
			}
		case <-ctx.Done():
			t.Fatal("the router never said it")
		}
	}
}

// serve puts the feed on a listener and returns its URL, and what stops it.
func (f *fakeFeed) serve(t testing.TB) (url string, stop func()) {
	mux := http.NewServeMux()
	mux.Handle(feedpbconnect.NewFeedServiceHandler(f))
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	stop = sync.OnceFunc(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	t.Cleanup(stop)
	return srv.URL, stop
}

// tableOf describes the default product: environments like "42 online web@1
// order@3", and the addresses of versions.
func tableOf(revision, highest uint64, addresses map[string][]string, environments ...string) *feedpb.Table {
	t := &feedpb.Table{Mark: &feedpb.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: highest, Products: []*feedpb.Product{{Name: "default"}}}
	p := t.Products[0]
	named := map[string]bool{}
	for _, s := range environments {
		words := strings.Fields(s)
		e := &feedpb.Environment{Id: number(words[0]), Product: "default", Versions: words[2:], WasOnline: words[1] != "preview"}
		t.Environments = append(t.Environments, e)
		switch words[1] {
		case "online":
			p.Online = e.Id
		case "preview":
			p.Preview = e.Id
		case "backup":
			p.Backup = e.Id
		}
		for _, v := range e.Versions {
			named[v] = true
		}
	}
	for v := range named {
		version := &feedpb.Version{Id: v, Kind: "service", Fallback: "none"}
		if strings.HasPrefix(v, "soft@") {
			version.Fallback = "online"
		}
		for i, a := range addresses[v] {
			version.Instances = append(version.Instances, &feedpb.Instance{Id: strings.ReplaceAll(v, "@", "-") + "-" + string(rune('a'+i)), Address: a})
		}
		t.Versions = append(t.Versions, version)
	}
	slices.SortFunc(t.Versions, func(a, b *feedpb.Version) int { return strings.Compare(a.Id, b.Id) })
	return t
}
