package drill

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"abt2.dev"
)

// sample is what became of one request. Times are since the load began.
type sample struct {
	target          string
	due, sent, done time.Duration
	resent          bool   // the client sent it on a second connection
	failed          string // why; empty: it did not
	cut             bool   // it failed after a byte of the answer had come
	verdict
}

// asker sends the drill's requests.
type asker struct {
	client  *http.Client
	targets []string // URLs
	host    string
	timeout time.Duration
	judge   judge
}

// maxJudged bounds what of an answer is kept to be judged.
const maxJudged = 1 << 20

func newAsker(r abt2.DrillRequest, edges []string, j judge) *asker {
	a := &asker{host: r.Host, timeout: r.Timeout, judge: j, targets: targets(r, edges)}
	transport := &http.Transport{MaxIdleConnsPerHost: r.InFlight, DisableCompression: true}
	if name, _, err := net.SplitHostPort(r.Host); err == nil {
		transport.TLSClientConfig = &tls.Config{ServerName: name}
	} else if r.Host != "" {
		transport.TLSClientConfig = &tls.Config{ServerName: r.Host}
	}
	a.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return a
}

// targets are all that is asked for, in turn.
func targets(r abt2.DrillRequest, edges []string) []string {
	var out []string
	for _, e := range edges {
		for _, p := range r.Paths {
			out = append(out, e+p)
		}
	}
	return append(out, r.URLs...)
}

func (a *asker) close() { a.client.CloseIdleConnections() }

// ask sends one request and reads the whole answer. now is the load's clock.
// A client that finds a connection closed, which it had kept in reserve, may
// send a GET again (RFC 9110, 9.2.2 and 9.3.1); what that cost is measured.
func (a *asker) ask(ctx context.Context, slot int64, due time.Duration, now func() time.Duration) sample {
	s := sample{target: a.targets[slot%int64(len(a.targets))], due: due}
	var connections atomic.Int32 // a request that is given up may still be traced
	var began atomic.Bool
	trace := &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { connections.Add(1) },
		GotFirstResponseByte: func() { began.Store(true) },
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s.sent = now()
	body, err := a.get(httptrace.WithClientTrace(ctx, trace), s.target)
	s.done = now()
	s.resent = connections.Load() > 1
	if err != nil {
		whole := errors.As(err, new(statusError))
		s.failed, s.cut = err.Error(), began.Load() && !whole
		return s
	}
	s.verdict = a.judge.look(body)
	s.failed = s.wrong
	return s
}

// get returns the answer's body, as far as it is judged. What is not a whole
// answer with a status of 2xx is an error.
func (a *asker) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Host = a.host
	req.Header.Set("User-Agent", "abt2-drill")
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, io.LimitReader(resp.Body, maxJudged)); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, statusError(fmt.Sprintf("%s: %.200s", resp.Status, bytes.TrimSpace(body.Bytes())))
	}
	return body.Bytes(), nil
}

// statusError is a whole answer, of a status that is not 2xx.
type statusError string

func (e statusError) Error() string { return string(e) }
