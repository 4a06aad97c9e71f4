package drill

import (
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"abt2.dev"
)

// report begins a report with what was asked for.
func (p *performance) report(sc scene) abt2.DrillReport {
	return abt2.DrillReport{
		Product: p.request.Product, Found: sc.found.ID, Other: sc.other.ID, Rate: p.request.Rate, Seed: p.request.Seed,
	}
}

// complete fills in what was measured, once the load has ended.
func (p *performance) complete(r *abt2.DrillReport) {
	t := p.tally
	t.settle()
	unsent := r.Load.Unsent
	r.Load = t.load
	r.Load.Unsent, r.Load.Late = unsent, int(p.load.late.Load())
	r.Load.Outside, r.Load.During = latency(t.outside), latency(t.during)
	r.Counters = p.counters.grown
	r.Complaints = slices.Clone(t.complaints)
	r.Faults = p.trouble.list
	r.Switches = p.switches
	p.times(&r.Switches)
}

// times fills in how long the switches took.
func (p *performance) times(s *abt2.DrillSwitches) {
	var calm, disturbed, prepared, flipped, settled []time.Duration
	for _, u := range p.tally.turns {
		if !u.switched {
			continue
		}
		took := u.confirmed - u.sent
		if u.disturbed {
			disturbed = append(disturbed, took)
		} else {
			calm = append(calm, took)
		}
		if u.lastOld >= 0 {
			late := u.lastOld - u.confirmed
			if s.LastOld == nil || late > *s.LastOld {
				s.LastOld = &late
			}
		}
		if u.outcome.Same {
			continue // done by a server that could not tell any more
		}
		prepared, flipped, settled = append(prepared, u.outcome.Prepared), append(flipped, u.outcome.Switched), append(settled, u.outcome.Settled)
	}
	s.Calm, s.Disturbed = times(calm), times(disturbed)
	s.Prepared, s.Flipped, s.Settled = times(prepared), times(flipped), times(settled)
}

func latency(h *hdrhistogram.Histogram) abt2.DrillLatency {
	at := func(percent float64) time.Duration {
		return time.Duration(h.ValueAtQuantile(percent)) * time.Microsecond
	}
	if h.TotalCount() == 0 {
		return abt2.DrillLatency{}
	}
	return abt2.DrillLatency{Requests: int(h.TotalCount()), P50: at(50), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()) * time.Microsecond}
}

// times sums up durations: the nearest rank, so each is one that was measured.
func times(list []time.Duration) abt2.DrillTimes {
	n := len(list)
	if n == 0 {
		return abt2.DrillTimes{}
	}
	slices.Sort(list)
	at := func(percent int) time.Duration { return list[max(0, (n*percent+99)/100-1)] }
	return abt2.DrillTimes{Count: n, P50: at(50), P99: at(99), Max: list[n-1]}
}

// laggard is who is meant by what a server says of it: "router ID (has revision 7)".
func laggard(said string) string {
	who, _, _ := strings.Cut(said, " (")
	return who
}
