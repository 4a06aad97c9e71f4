package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// maxAttempts bounds how many instances one call is sent to.
const maxAttempts = 4

// call is one HTTP request to a module on its way.
type call struct {
	Call
	req    *http.Request // as the caller made it; never changed
	ctx    context.Context
	pick   route.Pick
	expect *route.Expectation // of an answer; nil: the request may not be sent elsewhere
}

// call sends a request to a module of its environment.
func (t *transport) call(req *http.Request, module string) (*http.Response, error) {
	c := call{req: req}
	if err := c.begin(t.lane, module); err != nil {
		return nil, closing(req, err)
	}
	up := newUpload(req)
	defer up.release()
	body := up.first()
	var tried [maxAttempts]*route.Instance
	var repeated bool // a request that may have been received has been sent twice
	for n := 1; ; n++ {
		res, err := t.base.RoundTrip(c.attempt(body, !repeated))
		if err == nil && c.expect != nil && !c.expect.Answered() {
			_ = res.Body.Close()
			err = route.ErrLost
		}
		failed := failureOf(res, err)
		if failed == nothing {
			res.Request = req
			track(res, c)
			return res, nil
		}
		if failed == misdirected {
			_ = res.Body.Close()
			err = c.refusal()
		}
		c.over()
		tried[n-1] = c.pick.Instance
		again := n < maxAttempts && c.ctx.Err() == nil
		if failed == silent {
			again = again && !repeated && repeatable(req)
			repeated = true
		}
		if again {
			body, again = up.again(failed != unsent)
		}
		if !again || !c.pickOther(failed, tried[:n]) {
			c.end()
			return nil, err
		}
		c.Again()
	}
}

// begin finds the call's environment and an instance, and counts the call.
func (c *call) begin(l *Lane, module string) (err error) {
	if c.Call, c.ctx, err = l.Call(c.req.Context(), module); err != nil {
		return err
	}
	v, err := c.Resolve()
	if err != nil {
		c.Call.End()
		return err
	}
	c.pick, _ = v.Pick(nil) // it has an instance
	return nil
}

// end is called once, when the call is over.
func (c *call) end() {
	c.over()
	c.pick.Done()
	c.Call.End()
}

// over ends the attempt at work, if any.
func (c *call) over() {
	if c.expect != nil {
		c.expect.Over()
		c.expect = nil
	}
}

// elsewhere reports whether there is another instance than one that was lost.
func (c *call) elsewhere() bool {
	_, err := c.lane.router.Snapshot().Resolve(c.env, c.module)
	return err == nil
}

// pickOther moves the call to an instance that has not been tried. A request
// that was sent and not answered may go to the only instance again.
func (c *call) pickOther(failed failure, tried []*route.Instance) bool {
	next, err := c.lane.router.PickOther(c.env, c.module, tried...)
	if err != nil && failed == silent {
		next, err = c.lane.router.Pick(c.env, c.module)
	}
	if err != nil {
		return false
	}
	c.pick.Done()
	c.pick = next
	return true
}

// attempt makes the request for the picked instance. Every attempt has a
// request of its own: a RoundTripper may still look at one that has failed.
// again tells whether it may be sent elsewhere if it is not answered.
func (c *call) attempt(body io.ReadCloser, again bool) *http.Request {
	ctx := c.ctx
	if again && repeatable(c.req) {
		c.expect = &route.Expectation{}
		ctx = c.pick.Expect(ctx, c.expect, c.elsewhere)
	}
	out := redirect(ctx, c.req, c.module, c.pick.Address)
	out.Body = body
	env, baggage := c.Stamp(c.ctx, c.req.Header[stamp.BaggageHeader])
	out.Header[stamp.EnvHeader] = env
	out.Header[stamp.BaggageHeader] = []string{baggage}
	out.Header[stamp.ToHeader] = c.pick.To
	return out
}

func (c *call) refusal() error {
	return fmt.Errorf("%s/%s at %s is someone else: %w", c.pick.Version, c.pick.ID, c.pick.Address,
		&route.Error{Reason: route.NoInstance, Environment: c.env, Module: c.module})
}

// redirect returns a copy of a request that goes to an address, with a header
// map of its own. The values in it are shared and must not be changed.
func redirect(ctx context.Context, req *http.Request, module, address string) *http.Request {
	var out *http.Request
	if ctx == req.Context() {
		copied := &struct { // one allocation
			http.Request
			url url.URL
		}{Request: *req, url: *req.URL}
		out = &copied.Request
		out.URL = &copied.url
	} else {
		u := *req.URL
		out = req.WithContext(ctx)
		out.URL = &u
	}
	out.URL.Host = address
	if out.Host == "" {
		out.Host = module
	}
	out.Header = make(http.Header, len(req.Header)+3)
	for k, v := range req.Header {
		out.Header[k] = v
	}
	return out
}

// closing returns err after closing the request's body, as a RoundTripper must.
func closing(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

// failure says how an attempt failed, and so what may be done about it.
type failure int

const (
	nothing     failure = iota // it has not failed
	unsent                     // nobody was there: nothing was sent
	misdirected                // the receiver refused it before its handler ran
	silent                     // it may have been received; no byte of an answer came
)

func failureOf(res *http.Response, err error) failure {
	if err == nil {
		if res.StatusCode == http.StatusMisdirectedRequest && res.Header.Get(stamp.RefusedHeader) == stamp.RefusedTo {
			return misdirected
		}
		return nothing
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return unsent
	}
	return silent
}

// repeatable reports whether a request may be received twice.
func repeatable(req *http.Request) bool {
	return (req.Method == "" || req.Method == http.MethodGet || req.Method == http.MethodHead) && !hasBody(req)
}
