package navi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"sync/atomic"
	"time"

	"abt2.dev/lane"
	"abt2.dev/lane/stamp"
)

// The limits of a call where no option says otherwise, which are Navi's.
const (
	DefaultConnectTimeout = 2 * time.Second
	DefaultReadTimeout    = 90 * time.Second
)

// Signature names a method to call.
type Signature struct {
	Name string
	// Types are those of the parameters, as Java names them: long,
	// java.lang.String, java.util.List. A Java server finds its method by them.
	Types []string
	// Idempotent says that the method may be called twice for one call: it is
	// tried on another instance also when the first may have received it.
	Idempotent bool
}

// Selector is how an instance is chosen.
type Selector int

// The selectors of Navi.
const (
	Random Selector = iota
	RoundRobin
)

// FailurePolicy is what becomes of a call whose instance fails.
type FailurePolicy int

// The policies of Navi. FailOver makes at most two attempts, never at the same
// instance, the second only if the first instance cannot have run the method,
// or if the method is idempotent.
const (
	FailOver FailurePolicy = iota
	FailFast
)

const maxAttempts = 2

// Option sets how a Client calls.
type Option func(*Client)

// Select sets how an instance is chosen. Default: Random.
func Select(s Selector) Option { return func(c *Client) { c.selector = s } }

// OnFailure sets what becomes of a call whose instance fails. Default: FailOver.
func OnFailure(p FailurePolicy) Option { return func(c *Client) { c.policy = p } }

// Timeouts sets how long an attempt may take to connect, and to answer once it
// is connected.
func Timeouts(connect, read time.Duration) Option {
	return func(c *Client) { c.connectTimeout, c.readTimeout = connect, read }
}

// As sets who calls, for methods that only some may call.
func As(appID, token string) Option { return func(c *Client) { c.appID, c.token = &appID, &token } }

// Client calls one interface. Its methods may be called from any goroutine.
type Client struct {
	source         source
	path           string
	selector       Selector
	policy         FailurePolicy
	connectTimeout time.Duration
	readTimeout    time.Duration
	appID, token   *string
	encoding       Encoding
	contentType    []string // its, in the form that a http.Header holds

	transport *http.Transport
	turn      atomic.Uint64 // of RoundRobin
}

// NewClient returns a client of an interface that a module serves. Calls go to
// the version that their context's environment names, as with lane.Transport.
func NewClient(l *lane.Lane, module, service string, options ...Option) *Client {
	return newClient(laneSource{l, module}, service, options)
}

func newClient(s source, service string, options []Option) *Client {
	c := &Client{
		source: s, path: Prefix + service,
		connectTimeout: DefaultConnectTimeout, readTimeout: DefaultReadTimeout,
	}
	for _, o := range options {
		o(c)
	}
	c.contentType = []string{c.encoding.contentType()}
	c.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:        2048,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // it would cost the answer its Content-Length
	}
	return c
}

// Close closes idle connections. The client may be used afterwards.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Call calls a method and decodes what it returns into result, a pointer, or nil
// for a result that does not matter. A null leaves result as it is.
//
// What the other end answers in place of a result is an *Error. A call that
// cannot be routed fails with a *route.Error in the chain, which a handler
// answers with 503. A call that failed after an attempt says at which address.
func (c *Client) Call(ctx context.Context, m Signature, result any, args ...any) error {
	if result != nil && reflect.TypeOf(result).Kind() != reflect.Pointer {
		return fmt.Errorf("navi: result of %s: must be a pointer, not %T", m.Name, result)
	}
	round, ctx, err := c.source.begin(ctx)
	if err != nil {
		return err
	}
	defer round.end()
	env, baggage := round.stamp(ctx)
	if args == nil {
		args = []any{}
	}
	in := request{TraceID: rand.Int64(), Method: m.Name, Parameters: args, Types: m.Types, AppID: c.appID, Token: c.token}
	header := http.Header{"Content-Type": c.contentType}
	if len(env) == 1 {
		in.Env = env[0]
		header[stamp.EnvHeader] = env
		header[stamp.BaggageHeader] = []string{baggage}
	}
	body, err := c.encoding.encodeRequest(&in)
	if err != nil {
		return fmt.Errorf("navi: arguments of %s: %w", m.Name, err)
	}
	for n := 1; ; n++ {
		target, err := round.next(c)
		if err != nil {
			return err
		}
		err = c.attempt(ctx, target, header, body, result)
		if n == maxAttempts || c.policy == FailFast || ctx.Err() != nil || !mayRepeat(err, m.Idempotent) || !round.more() {
			return err
		}
		round.again()
	}
}

// attempt sends the call to one instance.
func (c *Client) attempt(ctx context.Context, t target, header http.Header, body []byte, result any) error {
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout+c.readTimeout)
	defer cancel()
	if t.to != nil || header[stamp.ToHeader] != nil {
		header = header.Clone() // an attempt before may still look at its own
		header[stamp.ToHeader] = t.to
	}
	req := (&http.Request{
		Method: http.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL:    &url.URL{Scheme: "http", Host: t.address, Path: c.path},
		Header: header, Host: t.address,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		// For a connection that turns out to be closed before anything was sent.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return &attemptError{address: t.address, err: err, unsent: unsent(err)}
	}
	defer res.Body.Close()
	if err := c.encoding.read(res, result); err != nil {
		if answered := (*Error)(nil); errors.As(err, &answered) {
			return answered
		}
		return &attemptError{address: t.address, err: err, unsent: refused(res)}
	}
	return nil
}

// read takes the answer out of a response.
func (e Encoding) read(res *http.Response, result any) error {
	var b bytes.Buffer
	if n := res.ContentLength; n > 0 && n <= MaxBody {
		b.Grow(int(min(n, 1<<20)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(res.Body, MaxBody+1)); err != nil {
		return fmt.Errorf("the answer breaks off: %w", err)
	}
	if b.Len() > MaxBody {
		return fmt.Errorf("the answer is longer than %d bytes", MaxBody)
	}
	if res.StatusCode != http.StatusOK && !e.explained(res) {
		return fmt.Errorf("status %s", res.Status)
	}
	if result == nil {
		result = &json.RawMessage{}
	}
	out := answer{Result: result}
	if err := e.decodeAnswer(b.Bytes(), &out); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	switch {
	case out.Error != nil:
		return &Error{max(out.Status, Failed), out.Error.text()}
	case out.Status != OK || res.StatusCode != http.StatusOK:
		return &Error{max(out.Status, Failed), ""}
	}
	return nil
}

// explained reports whether the body of a response that is not 200 says why no
// instance would serve the call.
func (e Encoding) explained(res *http.Response) bool {
	return res.Header.Get("Content-Type") == e.medium()
}

// unsent reports whether an attempt has failed before anything was sent.
func unsent(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}

// refused reports whether the instance was someone else: the method has not run.
func refused(res *http.Response) bool {
	return res.StatusCode == http.StatusMisdirectedRequest && res.Header.Get(stamp.RefusedHeader) == stamp.RefusedTo
}

// mayRepeat reports whether a call that failed so may be sent to another instance.
func mayRepeat(err error, idempotent bool) bool {
	failed := (*attemptError)(nil)
	return errors.As(err, &failed) && (failed.unsent || idempotent)
}

// attemptError says that an instance has not answered, or not as it should.
type attemptError struct {
	address string
	err     error
	unsent  bool // the method cannot have run
}

func (e *attemptError) Error() string { return fmt.Sprintf("navi: call to %s: %v", e.address, e.err) }
func (e *attemptError) Unwrap() error { return e.err }
