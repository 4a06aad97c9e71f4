package lane

import (
	"context"
	"sync"
)

// online is whether this process's version is online, and who waits for that to change.
type online struct {
	mu      sync.Mutex
	is      bool
	changed chan struct{} // closed at the next change; nil: nobody has asked
}

// set takes what is true now. The answer is computed under the lock, so that of
// two tables applied at the same time the newer one has the last word.
func (o *online) set(now func() bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	is := now()
	if is == o.is {
		return
	}
	o.is = is
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

func (o *online) watch() (is bool, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.is, o.changed
}

// Online reports whether the online environment of this process's home product
// names its version, as of the newest table. Work that no request asks for, such
// as taking messages from a queue, belongs to the version that is online: in a
// preview it holds still. Around a switch two versions may hold different tables
// for a moment, so this is no lock. Outside abt2 it is always true.
func (l *Lane) Online() bool {
	l.online.mu.Lock()
	defer l.online.mu.Unlock()
	return l.online.is
}

// WatchOnline returns what Online does, and a channel that is closed when that
// changes. Call it again for the change after.
func (l *Lane) WatchOnline() (online bool, changed <-chan struct{}) { return l.online.watch() }

// WaitOnline returns nil as soon as Online is true. Its error is ctx's cause, or
// tells that the Lane has been closed.
func (l *Lane) WaitOnline(ctx context.Context) error {
	for {
		is, changed := l.WatchOnline()
		if is {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.ctx.Done():
			return errClosed
		}
	}
}

// namedOnline looks into the newest table.
func (l *Lane) namedOnline() bool {
	p := l.router.Snapshot().Product(l.product)
	if p == nil || p.Online == nil {
		return false
	}
	v := p.Online.Version(l.module)
	return v != nil && v.ID == l.self.Version
}
