package drill

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// load calls send at a constant rate, whatever becomes of the calls: an open
// loop. Slot i is due at i/rate. A slot that finds all places taken is sent as
// soon as one is free; it is never left out, and what is measured from when it
// was due contains the waiting. Without that the slow moments would be the ones
// in which least is measured: Gil Tene's "coordinated omission", corrected here
// as wrk2 does.
type load struct {
	rate  int
	start time.Time
	send  func(slot int64, due time.Duration, now func() time.Duration)

	next atomic.Int64 // the slot to be taken next
	sent atomic.Int64 // how many were
	late atomic.Int64 // how many found all places taken

	stop   context.CancelFunc
	ending chan struct{} // closed when last is known
	last   int64         // the first slot not to be sent
	places sync.WaitGroup
}

// lateness is what a busy machine's timers are forgiven.
const lateness = 5 * time.Millisecond

// startLoad begins to send, so many at once at most. Either finish or abandon
// must follow. now, as send gets it, is the load's clock.
func startLoad(rate, inFlight int, send func(slot int64, due time.Duration, now func() time.Duration)) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{rate: rate, start: time.Now(), send: send, stop: stop, ending: make(chan struct{})}
	for range inFlight {
		l.places.Go(func() { l.work(ctx) })
	}
	return l
}

// now is the time since the load began.
func (l *load) now() time.Duration { return time.Since(l.start) }

func (l *load) due(slot int64) time.Duration {
	return time.Duration(float64(slot) * float64(time.Second) / float64(l.rate))
}

// slots is how many have been due so far.
func (l *load) slots() int64 { return int64(l.now().Seconds()*float64(l.rate)) + 1 }

// finish sends what is due, at least so many in all, and returns when the last
// answer is there or ctx ends. Then it returns how many were due and not sent.
func (l *load) finish(ctx context.Context, atLeast int) (unsent int64) {
	l.last = max(int64(atLeast), l.slots())
	close(l.ending)
	leave := context.AfterFunc(ctx, l.stop)
	defer leave()
	l.places.Wait()
	l.stop()
	return max(0, min(l.last, l.slots())-l.sent.Load())
}

// abandon sends no more, waits for the answers to what was sent, and returns
// how many were due and not sent.
func (l *load) abandon() (unsent int64) {
	l.stop()
	due := l.slots()
	l.places.Wait()
	return max(0, due-l.sent.Load())
}

func (l *load) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		slot := l.next.Add(1) - 1
		due := l.due(slot)
		wait := due - l.now()
		timer.Reset(wait)
		if !l.await(ctx, slot, timer.C) {
			return
		}
		l.sent.Add(1)
		if wait < -lateness {
			l.late.Add(1)
		}
		l.send(slot, due, l.now)
	}
}

// await returns whether the slot is to be sent, when it is due.
func (l *load) await(ctx context.Context, slot int64, due <-chan time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-due:
		select {
		case <-l.ending:
			return slot < l.last
		default:
			return true
		}
	case <-l.ending:
	}
	if slot >= l.last {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-due:
		return true
	}
}
