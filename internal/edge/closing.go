package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Streams of an environment that retires are ended in the way of their protocol,
// so that clients connect again, and then reach another environment: a WebSocket
// by a close frame, a gRPC call by its status, an answer of unknown length, as
// event streams are, by its end. An answer whose length was told is a request
// like any other: it is not touched, and lasts as long as its instance does.
// Connections stay: what else is on them, and what follows, belongs elsewhere,
// so that HTTP/2's GOAWAY would only hurt.

var errRetired = errors.New("edge: the environment of this request has been retired")

// closing is how a request's stream is asked to end, at any time and from any
// goroutine. The zero value has no stream.
type closing struct {
	mu    sync.Mutex
	asked bool
	end   func()
}

// set tells how to end the stream from now on; it is done at once if the end has
// been asked for already.
func (c *closing) set(end func()) {
	c.mu.Lock()
	c.end = end
	asked := c.asked
	c.mu.Unlock()
	if asked {
		end()
	}
}

func (c *closing) ask() {
	c.mu.Lock()
	c.asked = true
	end := c.end
	c.mu.Unlock()
	if end != nil {
		end()
	}
}

// closableCall makes a gRPC call one that can be ended before it is answered.
func (x *exchange) closableCall() (release func()) {
	in := x.in
	ctx, cancel := context.WithCancelCause(in.Context())
	x.in = in.WithContext(ctx)
	x.closing.set(func() {
		cancel(errRetired)
		x.endBody()
	})
	return func() {
		cancel(nil)
		x.in = in // whose context tells whether the client is gone
	}
}

// endBody ends what is read of a call's body: HTTP/2's transport waits for that
// before it gives a stream up.
func (x *exchange) endBody() {
	_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Unix(1, 0))
}

// retiredCall answers a gRPC call that has not been answered yet.
func (x *exchange) retiredCall() {
	h := x.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", grpcUnavailable)
	h.Set("Grpc-Message", x.retiredMessage())
	x.own = true
	x.WriteHeader(http.StatusOK)
}

// grpcUnavailable tells a client that it may call again.
const grpcUnavailable = "14"

func (x *exchange) retiredMessage() string {
	return "environment " + strconv.FormatUint(x.dest.env.ID, 10) + " was retired; call again"
}

// closable makes an answer one that can be ended before its end, if it is a stream.
func (x *exchange) closable(res *http.Response) {
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		x.closableUpgrade(res)
	case isGRPC(x.in), res.ContentLength < 0 && x.in.Method != http.MethodHead:
		b := &streamBody{ReadCloser: res.Body}
		res.Body = b
		if !isGRPC(x.in) {
			x.closing.set(b.end)
			return
		}
		trailer := http.Header{"Grpc-Status": {grpcUnavailable}, "Grpc-Message": {x.retiredMessage()}}
		b.ended = func() { res.Trailer = trailer }
		x.closing.set(func() {
			x.endBody()
			b.end()
		})
	}
}

func (x *exchange) closableUpgrade(res *http.Response) {
	module, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return // the proxy refuses it
	}
	if !strings.EqualFold(res.Header.Get("Upgrade"), "websocket") {
		x.closing.set(func() { module.Close() })
		return
	}
	x.upgraded = newUpgraded(module, x.retiredMessage())
	res.Body = x.upgraded.moduleSide()
	x.closing.set(x.upgraded.end)
}

// streamBody is the body of an answer that can be ended between two reads, as if
// the module had.
type streamBody struct {
	io.ReadCloser
	asked atomic.Bool
	ended func() // called when it has ended so; may be nil
}

// end makes the read at work, or the next one, the last.
func (b *streamBody) end() {
	b.asked.Store(true)
	_ = b.ReadCloser.Close() // wakes a read at work
}

func (b *streamBody) Read(p []byte) (int, error) {
	if !b.asked.Load() {
		n, err := b.ReadCloser.Read(p)
		if err == nil || err == io.EOF || !b.asked.Load() {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
	if b.ended != nil {
		b.ended()
	}
	return 0, io.EOF
}
