package builtin

import "time"

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// An edge has been steady when it ran for steadyTimes the last pause, or for
	// steadyAfter: so one that somebody kills again and again is away for a tenth
	// of the time at most, and one that cannot start is tried every lastPause.
	steadyTimes = 10
	steadyAfter = 30 * time.Second
)

// restarts spaces the starts of a process that ends by itself: twice as long each
// time, and from the shortest pause again after it has been steady.
type restarts struct{ pause time.Duration }

// next returns how long to wait before the next start, of one that ran for that
// long; zero: it did not start.
func (r *restarts) next(ran time.Duration) time.Duration {
	if r.pause == 0 || ran >= min(steadyTimes*r.pause, steadyAfter) {
		r.pause = firstPause
	} else {
		r.pause = min(2*r.pause, lastPause)
	}
	return r.pause
}
