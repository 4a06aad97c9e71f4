package haproxy

import (
	"slices"
	"testing"
	"time"
)

// Pauses grow while it does not stay, and are the shortest again once it has.
func TestRestarts(t *testing.T) {
	const short = time.Millisecond
	for name, c := range map[string]struct{ ran, want []time.Duration }{
		"cannot start": {
			make([]time.Duration, 8),
			grown(8),
		},
		"killed now and then": {
			[]time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second},
			[]time.Duration{firstPause, firstPause, firstPause},
		},
		"killed at once, then left alone for a while": {
			[]time.Duration{short, short, short, steadyTimes * 4 * firstPause, short},
			[]time.Duration{firstPause, 2 * firstPause, 4 * firstPause, firstPause, 2 * firstPause},
		},
		"nearly steady": {
			[]time.Duration{short, steadyTimes*firstPause - 1, steadyTimes*2*firstPause - 1},
			[]time.Duration{firstPause, 2 * firstPause, 4 * firstPause},
		},
		"steady after the longest pause": {
			append(make([]time.Duration, 8), steadyAfter),
			append(grown(8), firstPause),
		},
	} {
		var r restarts
		var got []time.Duration
		for _, ran := range c.ran {
			got = append(got, r.next(ran))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// grown are the first n pauses of what never stays.
func grown(n int) []time.Duration {
	var out []time.Duration
	for i := range n {
		out = append(out, min(firstPause<<i, lastPause))
	}
	return out
}
