package lane

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// upload gives each attempt at a request its body. It is used by one goroutine.
type upload struct {
	req   *http.Request
	guard *guard // of a body that can be had only once; nil: there is none, or GetBody makes more
}

func newUpload(req *http.Request) upload {
	if !hasBody(req) || req.GetBody != nil {
		return upload{req: req}
	}
	return upload{req: req, guard: &guard{body: req.Body}}
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// first returns the body of the first attempt.
func (u upload) first() io.ReadCloser {
	if u.guard != nil {
		return u.guard
	}
	return u.req.Body
}

// again returns the body of a further attempt. sent tells whether the attempt
// before may have begun to read it. It returns false if the body cannot be had again.
func (u upload) again(sent bool) (io.ReadCloser, bool) {
	switch {
	case !hasBody(u.req):
		return u.req.Body, true
	case u.guard == nil:
		body, err := u.req.GetBody()
		return body, err == nil
	default:
		return u.guard, !sent
	}
}

// release lets the body be closed, when no further attempt will be made.
func (u upload) release() {
	if u.guard != nil {
		u.guard.release()
	}
}

// guard keeps a body open until no attempt needs it any more: a RoundTripper
// closes the body of a request even when it could not connect.
type guard struct {
	body io.ReadCloser

	mu               sync.Mutex
	closed, released bool
}

func (g *guard) Read(p []byte) (int, error) { return g.body.Read(p) }

func (g *guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.released {
		g.closed = true
		return nil
	}
	return g.body.Close()
}

func (g *guard) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.released = true
	if g.closed {
		_ = g.body.Close() // as a RoundTripper does: the request is over
	}
}

// download is a response's body, whose end is the end of the call.
type download struct {
	io.ReadCloser
	call  call
	ended atomic.Bool
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil {
		d.end()
	}
	return n, err
}

func (d *download) Close() error {
	err := d.ReadCloser.Close()
	d.end()
	return err
}

func (d *download) end() {
	if !d.ended.Swap(true) {
		d.call.end()
	}
}

// upgraded is the body of a 101 answer, which can be written to.
type upgraded struct {
	*download
	io.Writer
}

// track ends the call with the response's body.
func track(res *http.Response, c call) {
	if res.Body == nil || res.Body == http.NoBody {
		c.end()
		return
	}
	d := &download{ReadCloser: res.Body, call: c}
	if w, ok := res.Body.(io.Writer); ok {
		res.Body = upgraded{d, w}
		return
	}
	res.Body = d
}
