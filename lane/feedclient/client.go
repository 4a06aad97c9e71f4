package feedclient

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/feedpb/feedpbconnect"
)

// maxMessage bounds what is read from the server: far above any real table.
const maxMessage = 64 << 20

// Client is a router's membership in the feed. Its methods may be called from
// any goroutine.
type Client struct {
	cfg       Config
	hello     *feedpb.Hello
	log       *slog.Logger
	transport *http.Transport
	service   feedpbconnect.FeedServiceClient

	applied atomic.Pointer[feedpb.Mark] // of the last whole applied; nil: none
	last    *feedpb.ServerMessage       // that whole, of deliver alone; changes are made to it

	report  chan struct{} // one slot: a report is wanted
	leave   chan struct{} // closed by Goodbye
	leaving sync.Once
	done    chan struct{} // closed when Run has returned
}

// New checks the configuration; it neither connects nor reads anything.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	hello := proto.CloneOf(cfg.Hello)
	hello.Protocol = Protocol
	hello.Incarnation = rand.Text()
	hello.Changes = true
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	transport := newTransport()
	return &Client{
		cfg:       cfg,
		hello:     hello,
		log:       cfg.Log,
		transport: transport,
		service: feedpbconnect.NewFeedServiceClient(
			&http.Client{Transport: transport}, cfg.Server,
			connect.WithGRPC(),
			connect.WithAcceptCompression("gzip", nil, nil), // a table is encoded once for all routers
			connect.WithReadMaxBytes(maxMessage),
		),
		report: make(chan struct{}, 1),
		leave:  make(chan struct{}),
		done:   make(chan struct{}),
	}, nil
}

// newTransport speaks HTTP/2 only, without TLS too, and notices a server that
// has vanished without a word.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols:   protocols,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}

// Fetch asks the server for its newest table, because an environment is not in
// ours. It works without Run.
func (c *Client) Fetch(ctx context.Context, env uint64) (*feedpb.Table, error) {
	req := connect.NewRequest(&feedpb.FetchRequest{Environment: env})
	c.authorize(req.Header())
	res, err := c.service.Fetch(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("fetch environment %d: %w", env, err)
	}
	return res.Msg, nil
}

// Report asks that a report is sent now; it never blocks. While the client is
// not connected it has no effect: every session begins with a report.
func (c *Client) Report() {
	select {
	case c.report <- struct{}{}:
	default: // one is already on its way
	}
}

// Goodbye makes the server forget this router and ends Run. It returns when
// that is done; while the server cannot be reached, Run ends all the same. Run
// must have been started.
func (c *Client) Goodbye(ctx context.Context) error {
	c.leaving.Do(func() { close(c.leave) })
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) authorize(h http.Header) {
	if c.cfg.Credential != "" {
		h.Set("Authorization", "Bearer "+c.cfg.Credential)
	}
}

func (c *Client) connection(connected bool, err error) {
	if c.cfg.Connection != nil {
		c.cfg.Connection(connected, err)
	}
}

// deliver hands what a message leads to to the router, and returns the answer;
// nil: none is due. Calls come one at a time.
func (c *Client) deliver(ctx context.Context, m *feedpb.ServerMessage) *feedpb.Applied {
	whole, err := complete(c.last, m)
	var mark *feedpb.Mark
	switch {
	case err != nil: // refused below
	case whole.GetTable() != nil && c.cfg.Table != nil:
		mark = whole.GetTable().GetMark()
		err = c.cfg.Table(ctx, whole.GetTable())
	case whole.GetRoutes() != nil && c.cfg.Routes != nil:
		mark = whole.GetRoutes().GetTable().GetMark()
		err = c.cfg.Routes(ctx, whole.GetRoutes())
	default:
		return nil
	}
	if err != nil {
		return &feedpb.Applied{Mark: c.applied.Load(), Refused: err.Error(), Number: m.GetNumber()}
	}
	c.last = whole
	c.applied.Store(mark)
	return &feedpb.Applied{Mark: mark, Number: m.GetNumber()}
}
