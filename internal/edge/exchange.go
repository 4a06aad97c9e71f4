package edge

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"abt2.dev/lane/carry"
	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// maxAttempts bounds how many instances one request is tried at.
const maxAttempts = 4

// exchange is one request and its answer. It is the hooks, the transport and
// the response writer of its own reverse proxy, so that a request needs neither
// closures nor values in its context to be recognised, and it is used again for
// another request after it has ended.
type exchange struct {
	s           *server
	proxy       httputil.ReverseProxy
	closeStream func()      // closing.ask
	elsewhere   func() bool // canGoElsewhere

	http.ResponseWriter
	in      *http.Request
	started time.Time
	routes  *routes

	dest     destination
	inside   bool     // came to an unversioned name
	served   []string // Abt2-Served of the answer; nil: none
	series   series
	carried  carry.Request
	carries  bool
	closing  closing
	upgraded *upgraded // a WebSocket; nil: none
	pick     route.Pick
	pickFrom uint64 // the environment that pick was chosen in: another one with fallback
	tried    [maxAttempts]*route.Instance
	attempts int
	expect   route.Expectation // of an answer, where the request may be sent elsewhere
	expects  bool
	body     *replayBody

	status   int
	bytes    int64
	own      bool // the edge itself answered
	proxying bool // the proxy is at work; at the end: it broke the answer off
	failure  error
}

func (s *server) newExchange() any {
	x := &exchange{s: s}
	x.closeStream, x.elsewhere = x.closing.ask, x.canGoElsewhere
	x.proxy = httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      x,
		ModifyResponse: x.answered,
		ErrorHandler:   x.unanswered,
		BufferPool:     &s.buffers,
		ErrorLog:       s.quiet,
	}
	return x
}

// begin takes a request; it must be followed by a deferred end.
func (s *server) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := s.exchanges.Get().(*exchange)
	x.ResponseWriter, x.in, x.started, x.routes = w, r, time.Now(), s.routes.Load()
	x.series = s.metrics.unknown
	s.metrics.inFlight.Add(1)
	return x
}

// end accounts for the request. It runs when the proxy panics, too, as it does
// to break off an answer.
func (x *exchange) end() {
	s := x.s
	if x.body != nil {
		x.body.drop()
	}
	if x.upgraded != nil {
		x.upgraded.release()
	}
	x.over()
	if x.carries {
		s.carrier.End(&x.carried)
	}
	x.account()
	if x.attempts > 0 {
		x.pick.Done()
	}
	s.metrics.inFlight.Add(-1)
	*x = exchange{s: s, proxy: x.proxy, closeStream: x.closeStream, elsewhere: x.elsewhere}
	s.exchanges.Put(x)
}

func (x *exchange) account() {
	gone := x.in.Context().Err() != nil && x.s.base.Err() == nil
	if x.status == 0 {
		x.status = http.StatusOK // what net/http makes of a handler that wrote nothing
	}
	elapsed := time.Since(x.started)
	observed := elapsed
	if x.status == http.StatusSwitchingProtocols {
		observed = -1
	}
	x.series.ended(x.status, observed)
	if failed := x.status >= 500 || x.proxying; failed && !gone {
		by := byModule
		if x.own {
			by = byEdge
		}
		x.series.failed(by)
		if x.failure != nil {
			x.s.log.LogAttrs(x.in.Context(), slog.LevelWarn, "request failed", x.where(slog.Any("error", x.failure))...)
		}
	}
	if x.s.cfg.AccessLog {
		x.s.log.LogAttrs(x.in.Context(), slog.LevelInfo, "request", x.where(
			slog.String("method", x.in.Method), slog.String("path", x.in.URL.Path), // never the query: it may hold secrets
			slog.Int("status", x.status), slog.Int64("bytes", x.bytes), slog.Duration("duration", elapsed))...)
	}
}

// where tells to whom a request went.
func (x *exchange) where(attrs ...slog.Attr) []slog.Attr {
	if x.dest.product != nil {
		attrs = append(attrs, slog.String("product", x.dest.product.Name))
	}
	if x.dest.env != nil {
		attrs = append(attrs, slog.Uint64("env", x.dest.env.ID), slog.String("role", string(x.dest.env.Role)))
	}
	if x.dest.version != nil {
		attrs = append(attrs, slog.String("module", x.dest.version.Module))
	}
	if x.attempts > 0 {
		attrs = append(attrs, slog.String("instance", x.pick.ID))
	}
	return attrs
}

// forward sends the request to an instance of its destination.
func (x *exchange) forward() {
	env, module := x.dest.env, x.dest.version.Module
	x.series = env.series[module]
	pick, err := x.routes.Pick(env.ID, module)
	x.pickFrom = env.ID
	if err != nil && x.dest.chosen && route.ReasonOf(err) == route.NoInstance {
		if pick, err = x.routes.PickFallback(env.ID, module); err == nil {
			x.pickFrom = env.Product.Online.ID
			x.series.fellBack()
			if x.served != nil {
				x.served = []string{x.served[0] + "; fallback=" + pick.Version}
			}
		}
	}
	if err != nil {
		x.failure = err
		x.refuse(refuseDown)
		return
	}
	x.take(pick)
	x.carried.Close = x.closeStream
	x.s.carrier.Begin(&x.carried, env.ID)
	x.carries = true
	if isGRPC(x.in) {
		defer x.closableCall()()
	}
	x.proxying = true
	x.proxy.ServeHTTP(x, x.in)
	x.proxying = false
}

func (x *exchange) take(p route.Pick) {
	x.pick = p
	x.tried[x.attempts] = p.Instance
	x.attempts++
}

// rewrite addresses the outgoing request. The proxy has removed hop-by-hop
// headers already, so that a client cannot have the stamp removed by naming it
// in Connection.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	out := p.Out
	out.URL.Scheme, out.URL.Host = "http", x.pick.Address
	out.URL.RawQuery = p.In.URL.RawQuery // as it came: the edge does not read it
	h := out.Header
	stripNames(h)
	stripCookie(h)
	h[stamp.EnvHeader] = x.dest.env.Header
	h[stamp.ToHeader] = x.pick.To
	stampBaggage(h, x.dest.env.Baggage)
	if x.inside {
		for _, name := range forwardingHeaders {
			if v, ok := p.In.Header[name]; ok {
				h[name] = v
			}
		}
	} else {
		setForwarded(h, p.In)
	}
	if out.Body == nil {
		out.Trailer = nil
		return
	}
	x.body = newReplayBody(out.Body, out.ContentLength, forwardTrailers(p.In, out))
}

var forwardedHTTP, forwardedHTTPS = []string{"http"}, []string{"https"}

// setForwarded is httputil.ProxyRequest.SetXForwarded with fewer allocations.
// What a client said about itself has been removed by the proxy.
func setForwarded(h http.Header, in *http.Request) {
	values := make([]string, 2)
	values[0] = in.RemoteAddr
	if host, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		values[0] = host
	}
	values[1] = in.Host
	h["X-Forwarded-For"], h["X-Forwarded-Host"] = values[:1:1], values[1:]
	if in.TLS != nil {
		h["X-Forwarded-Proto"] = forwardedHTTPS
	} else {
		h["X-Forwarded-Proto"] = forwardedHTTP
	}
}

// forwardingHeaders pass an unversioned name untouched: it is no proxy to its
// callers.
var forwardingHeaders = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

var errMisdirected = errors.New("every instance that was tried is someone else")

// RoundTrip sends the request to the instance picked, and to others where that
// cannot have had an effect.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	transport := x.s.transports.of(x.in)
	if x.body != nil {
		r.Body, _ = x.body.attempt()
	}
	ctx, broke := r.Context(), false
	for {
		repeatable := !broke && x.body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead)
		if repeatable {
			r = x.expectAnswer(ctx, r)
		}
		res, err := transport.RoundTrip(r)
		if err == nil && x.expects && !x.expect.Answered() {
			res.Body.Close()
			err = route.ErrLost
		}
		var reason retryReason
		switch {
		case err == nil && !misdirected(res):
			return res, nil
		case err == nil:
			res.Body.Close()
			reason, err = retryMisdirected, errMisdirected
		case ctx.Err() != nil:
			return nil, err
		case isDialError(err):
			reason = retryRefused
		case repeatable:
			reason, broke = retryBroken, true
		default:
			return nil, err
		}
		x.over()
		next, ok := x.again(ctx, r, reason)
		if !ok {
			return nil, err
		}
		r = next
	}
}

// again prepares another attempt at an instance not tried yet; false: there is
// none, or too much of the body is gone.
func (x *exchange) again(ctx context.Context, r *http.Request, reason retryReason) (*http.Request, bool) {
	if x.attempts == maxAttempts {
		return nil, false
	}
	rs := x.routes
	if newest := x.s.routes.Load(); newest.environments[x.pickFrom] != nil {
		rs = newest // it may know better instances
	}
	pick, err := rs.PickOther(x.pickFrom, x.dest.version.Module, x.tried[:x.attempts]...)
	if err != nil && reason == retryBroken {
		pick, err = rs.Pick(x.pickFrom, x.dest.version.Module)
	}
	if err != nil {
		return nil, false
	}
	next := r.WithContext(ctx)
	if x.body != nil {
		body, ok := x.body.attempt()
		if !ok {
			pick.Done()
			return nil, false
		}
		next.Body = body
	}
	x.pick.Done()
	x.take(pick)
	x.s.metrics.retried[reason].Inc()
	u := *r.URL
	u.Host = pick.Address
	next.URL = &u
	next.Header = r.Header.Clone() // the attempt before may still be reading its own
	next.Header[stamp.ToHeader] = pick.To
	return next, true
}

// expectAnswer makes an attempt one that is given up, for another instance, when
// the table has dropped the one picked and it does not answer.
func (x *exchange) expectAnswer(ctx context.Context, r *http.Request) *http.Request {
	x.expects = true
	return r.WithContext(x.pick.Expect(ctx, &x.expect, x.elsewhere))
}

// canGoElsewhere reports whether there is another instance than one that was lost.
func (x *exchange) canGoElsewhere() bool {
	_, err := x.s.routes.Load().Resolve(x.pickFrom, x.dest.version.Module)
	return err == nil
}

// over ends the attempt at work, if any.
func (x *exchange) over() {
	if x.expects {
		x.expect.Over()
		x.expects = false
	}
}

func misdirected(res *http.Response) bool {
	return res.StatusCode == http.StatusMisdirectedRequest && len(res.Header[stamp.RefusedHeader]) > 0
}

// isDialError reports that there never was a connection: nothing was sent.
func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// answered puts what only the edge may say into a module's answer.
func (x *exchange) answered(res *http.Response) error {
	x.closable(res)
	if x.inside {
		return nil
	}
	delete(res.Header, stamp.ServedHeader)
	x.mark(res.Header)
	if x.dest.visit.rules != nil {
		x.visited(res)
	}
	return nil
}

var noStore = []string{"private, no-store"}

// mark makes an answer to a request with a token say what was served, and keeps
// caches from giving it to others.
func (x *exchange) mark(h http.Header) {
	if x.served == nil {
		return
	}
	h[stamp.ServedHeader] = x.served
	h["Cache-Control"] = noStore
	delete(h, "Cdn-Cache-Control") // RFC 9213: goes before Cache-Control
	delete(h, "Surrogate-Control")
}

const statusClientGone = 499 // as nginx has it: for logs, nobody is left to read it

// unanswered is called where there is no answer to forward.
func (x *exchange) unanswered(_ http.ResponseWriter, r *http.Request, err error) {
	x.failure = err
	switch {
	case errors.Is(context.Cause(x.in.Context()), errRetired):
		x.retiredCall()
	case x.s.base.Err() != nil:
		x.refuse(refuseDown)
	case x.in.Context().Err() != nil:
		x.ResponseWriter.WriteHeader(statusClientGone)
		x.status = statusClientGone
	case r.Header[stamp.EnvHeader] == nil:
		x.refuse(refuseInput("The header Upgrade names no protocol.")) // refused before rewrite
	case errors.Is(err, errMisdirected), isDialError(err):
		x.refuse(refuseDown)
	default:
		x.refuse(refuseBroken)
	}
}

// WriteHeader, Write and Unwrap make the exchange the proxy's response writer.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 && (x.s.handed.Load() || x.s.leaving.Load()) {
		x.Header()["Connection"] = closeHeader // the next request goes to whoever follows
	}
	if x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

var closeHeader = []string{"close"}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
