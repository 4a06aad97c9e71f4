// Package feed sends the table to routers and collects what they confirm: the
// server's end of the feed, whose other end is lane.
package feed

import (
	"context"
	"log/slog"
	"sync"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// Feed knows every router and what each has confirmed. Its methods may be
// called from any goroutine.
//
// A router is known from its hello until it says goodbye or is forgotten: while
// it is not connected it is a laggard, not absent.
type Feed struct {
	log  *slog.Logger
	auth Authenticator

	mu      sync.Mutex
	closed  bool
	table   *publication // for processes and relays; nil: nothing has been published
	routers map[string]*router
	reads   map[uint64]chan<- *feedpb.EdgeRoutes // by id of the Read, until it is answered
	number  uint64                               // of the last publication
	read    uint64                               // id of the last Read
	changed chan struct{}                        // closed and replaced whenever a router's status changes

	receivers sync.WaitGroup
}

// New returns a Feed that has published nothing: routers can join, and receive
// nothing before the first Publish.
func New(log *slog.Logger, auth Authenticator) *Feed {
	return &Feed{
		log:     log,
		auth:    auth,
		routers: map[string]*router{},
		reads:   map[uint64]chan<- *feedpb.EdgeRoutes{},
		changed: make(chan struct{}),
	}
}

// Publish makes t the table of all processes, those that join later included.
// It does not wait for them. A table older than the one before is ignored.
func (f *Feed) Publish(t abt2.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table != nil && older(t.Mark, f.table.mark) {
		f.log.Warn("older table not published", "revision", t.Mark.Revision, "published", f.table.mark.Revision)
		return
	}
	p, err := publishTable(f.number+1, f.table, t)
	if err != nil {
		f.log.Error("table not published", "error", err)
		return
	}
	f.number++
	f.table = p
	for _, r := range f.routers {
		if !r.isEdge() {
			r.publish(p)
		}
	}
}

func older(m, than abt2.Mark) bool { return m.Epoch == than.Epoch && m.Revision < than.Revision }

// Changed returns a channel that is closed when the status of a router changes
// next: look first, then wait.
func (f *Feed) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// notify wakes everyone who waits for a change. f.mu is held.
func (f *Feed) notify() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// wait calls done, with f.mu held, now and after every change, until it returns
// true or ctx ends, when wait returns ctx's cause.
func (f *Feed) wait(ctx context.Context, done func() bool) error {
	for {
		f.mu.Lock()
		ok, changed := done(), f.changed
		f.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Restore makes routers known that joined an earlier server, as not connected.
// Those that are known already stay as they are.
func (f *Feed) Restore(routers []abt2.Router) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range routers {
		if f.routers[r.ID] != nil {
			continue
		}
		known := newRouter()
		known.status.ID, known.status.Role, known.status.Version, known.status.Stamper = r.ID, r.Role, r.Version, r.Stamper
		if r.Role == roleName(feedpb.Role_ROLE_PROCESS) {
			known.status.Instance = abt2.InstanceID(r.ID)
		}
		f.routers[r.ID] = known
	}
	f.notify()
}

// Forget removes a router that will not come back: its instance has ended, or
// an operator says so. One that is connected is disconnected, and known again
// as soon as it rejoins.
func (f *Feed) Forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.routers[id]; r != nil {
		r.stream.end(errForgotten)
		delete(f.routers, id)
		f.notify()
	}
}

// Close ends all streams and accepts no more. Routers stay as they are and look
// for another server. It is called before http.Server.Shutdown, which waits for
// the streams.
func (f *Feed) Close() {
	f.mu.Lock()
	f.closed = true
	for _, r := range f.routers {
		r.stream.end(errClosed)
	}
	f.mu.Unlock()
	f.receivers.Wait()
}
