package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/lane/stamp"
)

// How often a check is repeated until the instance is healthy.
const (
	firstCheck = 20 * time.Millisecond
	slowCheck  = time.Second
)

// probe checks a child's health until done is called, which also waits for the
// last check's end. A job is healthy when it runs.
func (k *keeper) probe(c *child) (results <-chan error, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	out, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		if k.spec.GetJob() {
			select {
			case out <- nil:
			case <-ctx.Done():
			}
			return
		}
		checker := newChecker(k.spec, k.who().GetShim(), c.pid)
		every := orDefault(k.spec.GetTiming().GetCheckEvery(), 2*time.Second)
		for wait := firstCheck; ; {
			err := checker.check(ctx)
			select {
			case out <- err:
			case <-ctx.Done():
				return
			}
			next := every
			if err != nil {
				next = min(wait, every)
				wait = min(wait*3/2, slowCheck)
			} else {
				wait = 10 * firstCheck
			}
			if pause(ctx, next) != nil {
				return
			}
		}
	}()
	return out, func() { cancel(); <-ended }
}

// checker makes one instance's health check.
type checker struct {
	address string
	path    string // empty: connecting is enough
	timeout time.Duration
	client  *http.Client
	owner   *owner
}

func newChecker(spec *shimpb.Spec, shim *shimpb.Process, child int) *checker {
	c := &checker{
		address: address(spec),
		timeout: orDefault(spec.GetTiming().GetCheckTimeout(), 2*time.Second),
		owner:   newOwner(spec.GetHost(), int(spec.GetPort()), shim, child),
	}
	if h := spec.GetHealth(); h != "" && h != "tcp" {
		c.path = h
	}
	c.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// check returns nil when the instance answers, and it is the instance that does.
func (c *checker) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.ask(ctx); err != nil {
		return c.explain(err)
	}
	return c.owner.check()
}

func (c *checker) ask(ctx context.Context) error {
	if c.path == "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+c.path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "abt2-shim")
	req.Header.Set(stamp.ProbeHeader, "1") // no environment names a version that is still to be shipped
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// explain words a failure so that the same failure reads the same each time.
func (c *checker) explain(err error) error {
	what := "tcp " + c.address
	if c.path != "" {
		what = "GET http://" + c.address + c.path
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("health check %s: no answer within %v", what, c.timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("health check %s: nothing listens there; the module must listen on HOST:PORT from its environment", what)
	case errors.As(err, &errno):
		return fmt.Errorf("health check %s: %w", what, errno)
	}
	var wrapped *url.Error // repeats method and address
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("health check %s: %w", what, err)
}
