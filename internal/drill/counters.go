package drill

import "abt2.dev"

// counters follows what routers have counted, by router: one that begins anew
// counts from zero again, as one does that was not there before.
type counters struct {
	last  map[string]abt2.DrillCounters
	grown abt2.DrillCounters
}

// from returns counters that stand where these routers stand.
func from(routers []abt2.RouterStatus) *counters {
	c := &counters{last: map[string]abt2.DrillCounters{}}
	c.add(routers)
	c.grown = abt2.DrillCounters{}
	return c
}

// add takes in how the routers stand now.
func (c *counters) add(routers []abt2.RouterStatus) {
	for _, r := range routers {
		last := c.last[r.ID]
		c.grown.Mixed += growth(last.Mixed, r.Mixed)
		c.grown.Restamped += growth(last.Restamped, r.Restamped)
		c.last[r.ID] = abt2.DrillCounters{Mixed: r.Mixed, Restamped: r.Restamped}
	}
}

func growth(last, now uint64) uint64 {
	if now < last {
		return now
	}
	return now - last
}
