package feed

import (
	"context"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/feedpb/feedpbconnect"
)

// protocol is the revision of the feed's protocol that this package speaks.
const protocol = 1

// What is read from a router at once is bounded by its kind: an edge answers
// what it serves, which is as long as a table may be.
const (
	maxFromProcess = 1 << 20
	maxFromEdge    = 64 << 20
)

// helloTimeout is how long a stream may take to say who joins.
const helloTimeout = 10 * time.Second

// caller is who makes a call, and what it is answered over.
type caller struct {
	Identity
	writer
}

// writer writes what is encoded already around Connect, which would copy it: for
// each of ten thousand routers that join at once, the whole table.
type writer struct {
	http.ResponseWriter
	*http.ResponseController
}

// maxWrite keeps short the frames of HTTP/2: a connection holds for good as much
// memory as its longest took.
const maxWrite = 4 << 10

func (w writer) write(b encoded) error {
	for len(b) > 0 {
		n, err := w.Write(b[:min(len(b), maxWrite)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return w.Flush()
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// Handler returns what serves the feed, and the path under which it does. The
// http.Server must allow HTTP/2, without TLS too where it has none.
func (f *Feed) Handler() (path string, h http.Handler) {
	path, process := f.handler(maxFromProcess)
	_, edge := f.handler(maxFromEdge)
	refusals := connect.NewErrorWriter()
	return path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := f.authenticate(r.Context(), r.Header)
		if err != nil {
			_ = refusals.Write(w, r, err) // whoever cannot be told has gone
			return
		}
		h := process
		if id.Kind == KindEdge {
			h = edge
		}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{id, writer{w, http.NewResponseController(w)}})))
	})
}

func (f *Feed) handler(maxMessage int) (path string, h http.Handler) {
	return feedpbconnect.NewFeedServiceHandler(service{f},
		connect.WithCompression("gzip", nil, nil), // a table is encoded once for all routers
		connect.WithReadMaxBytes(maxMessage),
	)
}

// service answers the calls of routers.
type service struct{ *Feed }

// Fetch returns the published table at once.
func (f service) Fetch(context.Context, *connect.Request[feedpb.FetchRequest]) (*connect.Response[feedpb.Table], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table == nil {
		return nil, errNoTable
	}
	return connect.NewResponse(f.table.table), nil
}

// Join serves one router until its stream ends.
func (f service) Join(ctx context.Context, conn *bidi) error {
	by := callerOf(ctx)
	if strings.HasSuffix(conn.RequestHeader().Get("Content-Type"), "json") {
		return errJSON
	}
	_ = by.SetReadDeadline(time.Now().Add(helloTimeout)) // over HTTP/1, which cannot, Connect has refused the call
	first, err := conn.Receive()
	if err != nil {
		return err
	}
	_ = by.SetReadDeadline(time.Time{})
	hello := first.GetHello()
	if hello == nil {
		return errHello
	}
	if err := checkHello(hello, by.Identity); err != nil {
		return err
	}
	s := newStream(hello.GetChanges(), by.writer)
	if err := f.join(hello, s); err != nil {
		return err
	}
	defer f.leave(hello.GetRouterId(), s)
	go func() { // ends when the call does, which ends Receive
		defer f.receivers.Done()
		s.end(f.receive(hello.GetRouterId(), s, conn))
	}()
	return s.send(ctx, conn)
}
