package shim

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
)

// backoff spaces restarts: twice as long each time, up to a limit, and of that
// a random part between half and all, so that instances that fell together do
// not rise together.
type backoff struct {
	min, max, reset time.Duration
	random          func() float64 // in [0,1)
	cur             time.Duration
}

func newBackoff(t *shimpb.Timing, random func() float64) *backoff {
	return &backoff{
		min:    orDefault(t.GetBackoffMin(), 500*time.Millisecond),
		max:    orDefault(t.GetBackoffMax(), 30*time.Second),
		reset:  orDefault(t.GetBackoffReset(), 30*time.Second),
		random: random,
	}
}

// next returns how long to wait before the next start.
func (b *backoff) next() time.Duration {
	b.cur = min(max(b.cur, b.min), b.max)
	d := b.cur/2 + time.Duration(b.random()*float64(b.cur/2))
	b.cur *= 2
	return d
}

// healthyFor tells how long the instance was healthy until it ended.
func (b *backoff) healthyFor(d time.Duration) {
	if d >= b.reset {
		b.cur = 0
	}
}

func orDefault(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil || d.AsDuration() <= 0 {
		return def
	}
	return d.AsDuration()
}
