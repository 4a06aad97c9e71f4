package edge

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// transports are the ways to a module: HTTP/1.1, and HTTP/2 without TLS for
// gRPC, which needs it to the last hop.
type transports struct {
	http1, http2 *http.Transport
}

func newTransports() transports {
	dial := (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	http1 := &http.Transport{
		DialContext:           dial,
		DisableCompression:    true, // bytes pass as they are
		MaxIdleConnsPerHost:   512,
		IdleConnTimeout:       60 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	http2 := &http.Transport{
		DialContext:        dial,
		Protocols:          protocols,
		DisableCompression: true,
		IdleConnTimeout:    60 * time.Second,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
	return transports{http1, http2}
}

func (t transports) of(r *http.Request) *http.Transport {
	if isGRPC(r) {
		return t.http2
	}
	return t.http1
}

func (t transports) close() {
	t.http1.CloseIdleConnections()
	t.http2.CloseIdleConnections()
}

// isGRPC tells gRPC from everything else, gRPC-Web included, by its content
// type: application/grpc, or that with + or ; behind it.
func isGRPC(r *http.Request) bool {
	const grpc = "application/grpc"
	values := r.Header["Content-Type"]
	if len(values) == 0 || r.ProtoMajor != 2 || !strings.HasPrefix(values[0], grpc) {
		return false
	}
	rest := values[0][len(grpc):]
	return rest == "" || rest[0] == '+' || rest[0] == ';'
}

// bufferPool lends the buffers that answers are copied through.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return new([bufferSize]byte)[:]
}

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[bufferSize]byte)(b)) }
