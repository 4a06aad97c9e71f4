package feed

import "abt2.dev"

// Waiting are routers that have not applied something yet.
type Waiting []*router

// Waiting returns all routers.
func (f *Feed) Waiting() Waiting {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out Waiting
	for _, r := range f.routers {
		out = append(out, r)
	}
	return out
}

// Still returns those of w that have not applied mark, in w's place.
func (f *Feed) Still(w Waiting, mark abt2.Mark) Waiting {
	f.mu.Lock()
	defer f.mu.Unlock()
	late := w[:0]
	for _, r := range w {
		if !r.status.Applied.Covers(mark) {
			late = append(late, r)
		}
	}
	return late
}

// Behind returns how many publications a router has not answered, sent and queued.
func (f *Feed) Behind(id string) (sent, queued int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.routers[id]
	if r == nil || r.stream == nil {
		return 0, 0
	}
	r.stream.mu.Lock()
	defer r.stream.mu.Unlock()
	return len(r.stream.sent), len(r.stream.queue)
}

// MaxBehind is the bound of Behind.
const MaxBehind = maxBehind
