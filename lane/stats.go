package lane

import (
	"maps"
	"sync"
	"sync/atomic"

	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// Stats is what a Lane has observed since it joined.
type Stats struct {
	Mark      route.Mark // of the table in use
	Connected bool       // to the server

	Stamped     uint64            // requests and calls stamped here, because they had no stamp
	Restamped   uint64            // of those, calls sent while serving stamped requests: a context was lost on the way
	Mixed       map[string]uint64 // requests that reached another version than their environment names, by "wanted own"
	Unverified  uint64            // requests of environments that the table lacks
	Misdirected uint64            // requests refused because they were addressed to someone else
	Retried     uint64            // calls sent to a second instance
	Fallbacks   uint64            // calls of a preview sent to the online version, and requests answered so
	Carried     map[uint64]uint64 // requests in flight, by environment
}

// counts are the counters behind Stats.
type counts struct {
	connected                                                       atomic.Bool
	serving                                                         atomic.Int64 // stamped requests at this moment
	stamped, restamped, unverified, misdirected, retried, fallbacks atomic.Uint64

	mu    sync.Mutex
	mixed map[string]uint64
}

// maxPairs bounds the pairs that mixed requests are counted by.
const maxPairs = 256

// mix counts a mixed request and reports whether it is the first of its pair.
func (c *counts) mix(pair string) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.mixed[pair]
	if n == 0 && len(c.mixed) >= maxPairs {
		pair = "other"
		n = c.mixed[pair]
	}
	if c.mixed == nil {
		c.mixed = map[string]uint64{}
	}
	c.mixed[pair] = n + 1
	return n == 0
}

func (c *counts) mixedPairs() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.mixed)
}

// Stats returns what has been observed so far. Outside abt2 most of it stays zero.
func (l *Lane) Stats() Stats {
	s := Stats{
		Connected:   l.counts.connected.Load(),
		Stamped:     l.counts.stamped.Load(),
		Restamped:   l.counts.restamped.Load(),
		Mixed:       l.counts.mixedPairs(),
		Unverified:  l.counts.unverified.Load(),
		Misdirected: l.counts.misdirected.Load(),
		Retried:     l.counts.retried.Load(),
		Fallbacks:   l.counts.fallbacks.Load(),
		Carried:     map[uint64]uint64{},
	}
	if l.router != nil {
		s.Mark = l.router.Mark()
	}
	for env, c := range l.carried.Carried() {
		s.Carried[env] = c.GetCount()
	}
	return s
}

func (l *Lane) report() *feedpb.Report {
	return &feedpb.Report{
		Carried:   l.carried.Carried(),
		Mixed:     l.counts.mixedPairs(),
		Restamped: l.counts.restamped.Load(),
		Stamped:   l.counts.stamped.Load(),
		Fallbacks: l.counts.fallbacks.Load(),
	}
}

// countStamped counts a request that got its stamp here. The first one is
// reported at once: it makes this router one whose confirmation a switch needs.
func (l *Lane) countStamped() {
	if l.counts.stamped.Add(1) == 1 {
		l.client.Report()
	}
}
