package drivertest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"abt2.dev"
)

// The load under which switches are measured: 2,000 requests a second, a rate
// that leaves the machine time for the switch, too.
const (
	flipClients = 8
	flipPause   = 4 * time.Millisecond
)

// EdgeFlips measures how long a switch takes to reach users: of the requests
// that were still served by the environment before, how long after the call that
// switched the last one had been received. It reports the 99th percentile and
// the longest over all switches. A request that begins when a switch has been
// confirmed, and is served as before, fails the benchmark.
func EdgeFlips(b *testing.B, f EdgeFixture) {
	g := newGateway(b, f)
	g.flip(b, 1)
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var sent [flipClients][]flipRequest
	var wg sync.WaitGroup
	for i := range sent {
		wg.Go(func() { sent[i] = g.pace(ctx, b, flipPause) })
	}
	var flips []flip
	for b.Loop() {
		// Of three in turn, what was before is not what comes next.
		f := flip{from: abt2.EnvironmentID(len(flips)%3 + 1), to: abt2.EnvironmentID((len(flips)+1)%3 + 1)}
		f.called = time.Now()
		g.flip(b, f.to)
		f.confirmed = time.Now()
		g.get(b, "/", nil) // the clients go on for a moment
		flips = append(flips, f)
	}
	stop()
	wg.Wait()
	all := slices.Concat(sent[:]...)
	var lags []float64
	for i, f := range flips {
		end, back := time.Now(), time.Now() // when the next switch began, and the one to where this one came from
		if i+1 < len(flips) {
			end = flips[i+1].called
		}
		if i+2 < len(flips) {
			back = flips[i+2].called
		}
		last := time.Duration(0)
		for _, r := range all {
			if r.env != f.from.String() || r.received.Before(f.called) || !r.began.Before(end) {
				continue
			}
			if !r.answered.Before(back) {
				continue // held up for so long that it may have been routed after that
			}
			last = max(last, r.received.Sub(f.called))
			if r.began.After(f.confirmed) {
				b.Errorf("a request that began %v after switch %d was confirmed was served by %s", r.began.Sub(f.confirmed), i, r.env)
			}
		}
		lags = append(lags, float64(last)/float64(time.Millisecond))
	}
	slices.Sort(lags)
	b.ReportMetric(lags[len(lags)/2], "p50-ms")
	b.ReportMetric(lags[(len(lags)-1)*99/100], "p99-ms")
	b.ReportMetric(lags[len(lags)-1], "longest-ms")
	b.ReportMetric(float64(len(all))/float64(len(flips)), "requests/switch")
}

// pace sends a request after each pause, or when the one before is answered, on
// a connection that is kept, until ctx ends.
func (g *gateway) pace(ctx context.Context, b *testing.B, pause time.Duration) (sent []flipRequest) {
	c, err := net.Dial("tcp", g.Address)
	if err != nil {
		b.Error(err)
		return nil
	}
	defer c.Close()
	in := bufio.NewReader(c)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return sent
		case <-tick.C:
		}
		r := flipRequest{began: time.Now()}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			b.Error(err)
			return sent
		}
		r.received = time.Now()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Error(err)
			return sent
		}
		a, err := read(res)
		if err != nil || a.status != http.StatusOK {
			b.Errorf("status %d, error %v", a.status, err)
			return sent
		}
		r.answered, r.env = time.Now(), a.seen.env()
		sent = append(sent, r)
	}
}

// flipRequest is a request that was answered. On loopback it has been received,
// by the system, when it has been written.
type flipRequest struct {
	began, received, answered time.Time
	env                       string
}

type flip struct {
	called, confirmed time.Time
	from, to          abt2.EnvironmentID
}
