package edge

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// maxReplay is how much of a request's body is kept for another attempt.
const maxReplay = 16 << 10

var errSuperseded = errors.New("edge: this attempt has been given up")

// replayBody is a request's body that can be sent to another instance as long
// as little of it has been read. Each attempt reads through its own reader; a
// transport may go on reading after its RoundTrip has returned, and then
// disturbs nobody.
type replayBody struct {
	src   io.Reader
	ended func() // called once at the end of src; may be nil

	reading sync.Mutex // held while src is read, which may block for long
	mu      sync.Mutex
	kept    []byte // all that has been read, unless lost
	limit   int    // of kept
	lost    bool   // more was read than is kept
	err     error  // of src, io.EOF included
	current *attemptBody
}

type attemptBody struct {
	*replayBody
	offset int
}

// newReplayBody prepares a body for replay. size is -1 if it is not known.
func newReplayBody(src io.Reader, size int64, ended func()) *replayBody {
	b := &replayBody{src: src, ended: ended, limit: maxReplay}
	if size > maxReplay {
		b.limit = 0 // it can be sent again only while none of it has been read
	} else if size > 0 {
		b.kept = make([]byte, 0, size)
	}
	return b
}

// attempt gives up the attempt before and returns the body for another; false:
// too much of it has been read.
func (b *replayBody) attempt() (io.ReadCloser, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = nil
	if b.lost {
		return nil, false
	}
	b.current = &attemptBody{replayBody: b}
	return b.current, true
}

// drop gives up every attempt, without waiting for one that is reading.
func (b *replayBody) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.kept, b.lost = nil, nil, true
}

func (a *attemptBody) Read(p []byte) (int, error) {
	if n, done, err := a.replay(p); done {
		return n, err
	}
	a.reading.Lock()
	defer a.reading.Unlock()
	if n, done, err := a.replay(p); done { // an attempt before may have read on meanwhile
		return n, err
	}
	n, err := a.src.Read(p)
	if err == io.EOF && a.ended != nil {
		a.ended()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
	if !a.lost && n > 0 {
		if len(a.kept)+n > a.limit {
			a.kept, a.lost = nil, true
		} else {
			a.kept = append(a.kept, p[:n]...)
		}
	}
	if a.current != a {
		if a.lost {
			a.current = nil // what this read took is missing to the attempt that replaced it
		}
		return 0, errSuperseded
	}
	a.offset += n
	return n, err
}

// replay serves a read from what is kept. done is false where the source must
// be asked.
func (a *attemptBody) replay(p []byte) (n int, done bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.current != a:
		return 0, true, errSuperseded
	case a.offset < len(a.kept):
		n := copy(p, a.kept[a.offset:])
		a.offset += n
		return n, true, nil
	}
	return 0, a.err != nil, a.err
}

// Close ends the attempt; the source stays open for another.
func (a *attemptBody) Close() error { return nil }

// forwardTrailers makes out carry the trailers that in announces, once the body
// has been read: net/http knows their values only then. What says where a
// request belongs may not be said in a trailer (RFC 9110, section 6.5.1).
func forwardTrailers(in, out *http.Request) (ended func()) {
	if len(in.Trailer) == 0 {
		out.Trailer = nil
		return nil
	}
	announced := make(http.Header, len(in.Trailer))
	for name := range in.Trailer {
		if name != "Cookie" && name != "Baggage" && !isOurName(name) {
			announced[name] = nil
		}
	}
	if len(announced) == 0 {
		out.Trailer = nil
		return nil
	}
	out.Trailer = announced
	return func() {
		for name := range announced {
			announced[name] = in.Trailer[name]
		}
	}
}
