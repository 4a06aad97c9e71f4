package cli

import "os"

// along writes to a file and has the disk keep pace: what is left to the end of
// a large file takes as long again.
type along struct {
	f      *os.File
	behind int64      // bytes written since the newest flush began
	flush  chan error // how the newest ended; nothing while it is at work
}

const flushEvery = 32 << 20

func flushAlong(f *os.File) *along {
	a := &along{f: f, flush: make(chan error, 1)}
	a.flush <- nil
	return a
}

func (a *along) Write(b []byte) (int, error) {
	n, err := a.f.Write(b)
	if a.behind += int64(n); err != nil || a.behind < flushEvery {
		return n, err
	}
	select {
	case err := <-a.flush:
		if err != nil {
			a.flush <- err // for wait
			return n, err
		}
		a.behind = 0
		go func() { a.flush <- a.f.Sync() }() // ends before wait returns
	default: // the disk has enough to do
	}
	return n, nil
}

// wait returns when no flush is at work, and how the newest ended.
func (a *along) wait() error {
	err := <-a.flush
	a.flush <- nil
	return err
}
