package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"abt2.dev/lane/carry"
	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// maxAttempts bounds how many instances one call is sent to.
const maxAttempts = 4

// call is one request to a module on its way.
type call struct {
	lane    *Lane
	req     *http.Request // as the caller made it; never changed
	ctx     context.Context
	module  string
	env     uint64
	pick    route.Pick
	carried *carry.Request // nil: it belongs to a request that Handler counts
}

// call sends a request to a module of its environment.
func (t *transport) call(req *http.Request, module string) (*http.Response, error) {
	c := call{lane: t.lane, req: req, ctx: req.Context(), module: module}
	if err := c.begin(); err != nil {
		return nil, closing(req, err)
	}
	up := newUpload(req)
	defer up.release()
	body := up.first()
	var tried [maxAttempts]*route.Instance
	var repeated bool // a request that may have been received has been sent twice
	for n := 1; ; n++ {
		res, err := t.base.RoundTrip(c.attempt(body))
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
		c.lane.counts.retried.Add(1)
	}
}

// begin finds the call's environment and an instance, and counts the call.
func (c *call) begin() error {
	l := c.lane
	scope, _ := c.ctx.Value(scopeKey{}).(*scope)
	made := false // whether this process has chosen the environment
	if scope != nil {
		c.env = scope.env
	} else if c.env = stamp.FromContext(c.ctx); c.env == 0 {
		own, err := l.router.Snapshot().Naming(l.self.Version, l.product)
		if err != nil {
			return err
		}
		if l.counts.serving.Load() > 0 {
			l.counts.restamped.Add(1)
		}
		l.countStamped()
		c.env, made = own.ID, true
		c.ctx = WithEnvironment(c.ctx, own.ID) // for what instruments the base transport
	}
	if err := c.pickFirst(!made); err != nil {
		return err
	}
	if scope == nil || !scope.serving.Load() {
		c.carried = &carry.Request{}
		l.carried.Begin(c.carried, c.env)
	}
	return nil
}

// end is called once, when the call is over.
func (c *call) end() {
	c.pick.Done()
	if c.carried != nil {
		c.lane.carried.End(c.carried)
	}
}

// pickFirst chooses an instance, fetching a newer table for an environment
// above all that are known. stamped tells that the environment came with a
// request: only then may the online version stand in.
func (c *call) pickFirst(stamped bool) (err error) {
	l := c.lane
	c.pick, err = l.router.Pick(c.env, c.module)
	if route.ReasonOf(err) == route.Unknown {
		if ferr := l.fetch(c.ctx, c.env); ferr != nil {
			return fmt.Errorf("%w: %w", err, ferr)
		}
		c.pick, err = l.router.Pick(c.env, c.module)
	}
	if stamped && route.ReasonOf(err) == route.NoInstance {
		if pick, ferr := l.router.Snapshot().PickFallback(c.env, c.module); ferr == nil {
			l.counts.fallbacks.Add(1)
			c.pick, err = pick, nil
		}
	}
	return err
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
func (c *call) attempt(body io.ReadCloser) *http.Request {
	out := redirect(c.ctx, c.req, c.module, c.pick.Address)
	out.Body = body
	e, err := c.lane.router.Snapshot().Environment(c.env)
	if err != nil { // retired this moment; the instance is still there
		e = &route.Environment{Header: []string{stamp.FormatEnv(c.env)}, Baggage: []string{stamp.Member(c.env)}}
	}
	out.Header[stamp.EnvHeader] = e.Header
	out.Header[stamp.BaggageHeader] = []string{stamp.OutgoingBaggage(c.ctx, c.req.Header, e.Baggage[0])}
	out.Header[stamp.ToHeader] = c.pick.To
	return out
}

func (c *call) refusal() error {
	return fmt.Errorf("%s at %s is someone else: %w", c.pick.To[0], c.pick.Address,
		&route.Error{Reason: route.NoInstance, Environment: c.env, Module: c.module})
}

// redirect returns a copy of a request that goes to an address, with a header
// map of its own. The values in it are shared and must not be changed.
func redirect(ctx context.Context, req *http.Request, module, address string) *http.Request {
	copied := &struct { // one allocation
		http.Request
		url url.URL
	}{Request: *req, url: *req.URL}
	out := &copied.Request
	if ctx != req.Context() {
		out = req.WithContext(ctx)
	}
	copied.url.Host = address
	out.URL = &copied.url
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
