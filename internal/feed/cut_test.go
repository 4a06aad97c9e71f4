package feed_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/feed"
	"abt2.dev/lane/feedclient"
	"abt2.dev/lane/feedpb"
)

// cutter passes one connection at a time on to the server, and cuts it after so
// many bytes in one of the directions.
type cutter struct {
	net.Listener
	server string

	mu               sync.Mutex
	fromRouter       int64
	fromServer       int64
	connections, end sync.WaitGroup
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, server: strings.TrimPrefix(server, "http://")}
	c.end.Go(func() {
		for {
			router, err := l.Accept()
			if err != nil {
				return
			}
			c.connections.Go(func() { c.pass(router) })
		}
	})
	t.Cleanup(func() { l.Close(); c.end.Wait(); c.connections.Wait() })
	return c
}

func (c *cutter) cutAfter(fromRouter, fromServer int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fromRouter, c.fromServer = fromRouter, fromServer
}

func (c *cutter) pass(router net.Conn) {
	defer router.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	up, down := c.fromRouter, c.fromServer
	c.mu.Unlock()
	var both sync.WaitGroup
	closing := func(to, from net.Conn, n int64) {
		_, _ = io.CopyN(to, from, n)
		router.Close()
		server.Close()
	}
	both.Go(func() { closing(server, router, up) })
	both.Go(func() { closing(router, server, down) })
	both.Wait()
}

// TestConnectionCutAnywhere cuts the connection of a real router after every
// byte in either direction, until it is long enough for the whole and a change.
// What the router applies is always one of the tables; it counts as having
// confirmed only what it has applied.
func TestConnectionCutAnywhere(t *testing.T) {
	const enough = 1 << 20
	for _, direction := range []struct {
		name string
		cut  func(c *cutter, n int64)
	}{
		{"from the server", func(c *cutter, n int64) { c.cutAfter(enough, n) }},
		{"from the router", func(c *cutter, n int64) { c.cutAfter(n, enough) }},
	} {
		t.Run(direction.name, func(t *testing.T) {
			s := start(t)
			c := newCutter(t, s.url)
			for n, confirmed := int64(0), false; !confirmed; n++ {
				first := table(2*uint64(n) + 1)
				second := table(2*uint64(n) + 2)
				s.Publish(first)
				direction.cut(c, n)
				confirmed = joinThroughCut(t, s, c.Addr().String(), first, second)
			}
		})
	}
}

// joinThroughCut joins once and reports whether the server came to know that the
// router has applied both tables.
func joinThroughCut(t *testing.T, s *server, address string, first, second abt2.Table) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var applied []*feedpb.Table
	var once sync.Once
	client, err := feedclient.New(feedclient.Config{
		Server: address, Credential: "instance:order-1", Hello: processHello("order-1"),
		Table: func(_ context.Context, got *feedpb.Table) error {
			applied = append(applied, got)
			once.Do(func() { s.Publish(second) })
			return nil
		},
		Connection: func(connected bool, _ error) {
			if !connected {
				cancel() // one attempt is enough
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan struct{})
	go func() { defer close(ran); _ = client.Run(ctx) }()
	both := s.applied(ctx, "order-1", second.Mark)
	cancel()
	<-ran
	s.until(t, "order-1", func(r feed.RouterStatus, known bool) bool { return !known || !r.Connected })
	whole := []*feedpb.Table{feed.TableToProto(first), feed.TableToProto(second)}
	for i, got := range applied {
		if i >= len(whole) || !proto.Equal(got, whole[i]) {
			t.Fatalf("applied as number %d: %v", i+1, got)
		}
	}
	for _, r := range s.Routers() {
		if r.Applied.Revision != 0 && (len(applied) == 0 || r.Applied.Revision > applied[len(applied)-1].GetMark().GetRevision()) {
			t.Fatalf("counts as having %d, and applied %d tables", r.Applied.Revision, len(applied))
		}
	}
	s.Forget("order-1")
	return both
}

// applied reports whether a router comes to have applied mark before ctx ends.
func (s *server) applied(ctx context.Context, id string, mark abt2.Mark) bool {
	for {
		changed := s.Changed()
		for _, r := range s.Routers() {
			if r.ID == id && r.Applied.Covers(mark) {
				return true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// FuzzServer sends any bytes after the head of a stream to Join. Whatever they
// are, the connection ends or goes on, nobody else is troubled, and nothing
// counts as confirmed that was not sent.
func FuzzServer(f *testing.F) {
	var session bytes.Buffer
	frames := http2.NewFramer(&session, nil)
	for _, m := range []*feedpb.RouterMessage{
		helloMessage(processHello("order-1")),
		{Message: &feedpb.RouterMessage_Report{Report: &feedpb.Report{Carried: map[uint64]*feedpb.Carried{7: {Count: 1}}, Mixed: map[string]uint64{"order@4 order@3": 1}}}},
		appliedMessage(&feedpb.Applied{Mark: &feedpb.Mark{Epoch: "e", Revision: 8}, Number: 1}),
		{Message: &feedpb.RouterMessage_Goodbye{Goodbye: &feedpb.Goodbye{}}},
	} {
		b, err := envelope(m)
		if err != nil {
			f.Fatal(err)
		}
		if err := frames.WriteData(1, false, b); err != nil {
			f.Fatal(err)
		}
	}
	for n := range session.Len() + 1 {
		f.Add(session.Bytes()[:n])
	}
	f.Add([]byte{0, 0, 9, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 4, 1, 2, 3, 4})
	f.Add([]byte{0, 0, 5, 0, 0, 0, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff})
	s := start(f)
	s.Publish(table(7))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := s.dialRaw(t, "instance:order-1")
		if _, err := r.conn.Write(b); err == nil {
			_ = r.conn.(*net.TCPConn).CloseWrite()
		}
		for {
			if _, err := r.receive(); err != nil {
				break
			}
		}
		s.until(t, "order-1", func(r feed.RouterStatus, known bool) bool { return !known || !r.Connected })
		for _, r := range s.Routers() {
			if r.Applied.Revision > 7 {
				t.Fatalf("counts as having %d", r.Applied.Revision)
			}
		}
		s.Forget("order-1")
	})
}
