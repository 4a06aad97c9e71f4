package external

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

	"abt2.dev"
	"abt2.dev/lane/stamp"
)

const (
	checkTimeout = 2 * time.Second // of one check, as for instances that abt2 runs
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second // between two checks of an instance that fails
)

// watchOver begins to check an instance. The caller holds p.mu, or is alone.
func (p *Platform) watchOver(v *version, i *instance) {
	ctx, cancel := context.WithCancel(p.ctx)
	i.cancel = cancel
	if i.Address == "" {
		return // nothing to be checked; the lookup tells why
	}
	c := newChecker(v.config, i.Address)
	p.group.Go(func() {
		defer c.client.CloseIdleConnections()
		pause, well := firstPause, false
		for {
			err := c.check(ctx, !well)
			if ctx.Err() != nil {
				return
			}
			p.judge(i, err)
			next := p.cfg.CheckEvery
			if well = err == nil; well {
				pause = firstPause
			} else {
				next = min(pause, next)
				pause = min(pause*3/2, longestPause)
			}
			select {
			case <-time.After(next):
			case <-ctx.Done():
				return
			}
		}
	})
}

// judge records how a check ended.
func (p *Platform) judge(i *instance, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, detail := abt2.InstanceHealthy, ""
	if err != nil {
		state, detail = abt2.InstanceStarting, err.Error()
		if i.was {
			state = abt2.InstanceUnhealthy
		}
	}
	i.was = i.was || err == nil
	if i.State == state && i.Detail == detail {
		return
	}
	if i.State != state {
		i.Since = time.Now()
		p.cfg.Log.Debug("external instance", "id", i.ID, "address", i.Address, "state", state, "detail", detail)
	}
	i.State, i.Detail = state, detail
	p.wake()
}

// checker makes the health check of one address.
type checker struct {
	address string
	path    string // empty: connecting is enough
	http    bool   // it speaks HTTP/1.1, as far as the configuration tells
	client  *http.Client
}

func newChecker(config abt2.Config, address string) *checker {
	c := &checker{address: address, client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if h := config.Health; h != "" && h != abt2.HealthTCP {
		c.path = h
	}
	c.http = c.path != "" || config.Kind == abt2.KindEdge
	return c
}

// check returns nil when the address answers. fresh also asks whether it leads
// back to an edge of abt2, which would send its requests in a circle.
func (c *checker) check(ctx context.Context, fresh bool) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := c.ask(ctx); err != nil {
		return c.explain(err)
	}
	if !fresh || !c.http {
		return nil
	}
	res, err := c.get(ctx, abt2.ReservedPrefix)
	if err != nil {
		return nil // what serves no such path may answer it as it likes
	}
	if id := res.Header.Get(stamp.EdgeHeader); id != "" {
		return fmt.Errorf("%s is an edge of abt2, or leads to one (%s): requests would go in a circle; name the process behind it", c.address, printable(id))
	}
	return nil
}

func (c *checker) ask(ctx context.Context) error {
	if c.path == "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	res, err := c.get(ctx, c.path)
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 399 {
		return fmt.Errorf("answered %d", res.StatusCode)
	}
	return nil
}

// get asks for a path and throws the body away.
func (c *checker) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "abt2-check")
	req.Header.Set(stamp.ProbeHeader, "1") // it belongs to no environment
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	return res, nil
}

// explain words a failure so that the same failure reads the same each time.
func (c *checker) explain(err error) error {
	what := "tcp " + c.address
	if c.path != "" {
		what = "GET http://" + c.address + c.path
	}
	var wrapped *url.Error // repeats method and address
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("%s: %s", what, dns.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %v", what, checkTimeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: nothing listens there", what)
	case errors.As(err, &errno):
		return fmt.Errorf("%s: %w", what, errno)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// printable keeps what somebody else has sent from doing more than being read.
func printable(s string) string { return fmt.Sprintf("%.40q", s) }
