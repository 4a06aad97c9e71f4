package navi

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"abt2.dev"
)

// leaf is one registration, as ZooKeeper shows it.
type leaf struct {
	address string
	data    string          // when it was read, and short
	size    int             // of the data
	holder  abt2.InstanceID // whose keeper's session holds it; empty: nobody's of ours
	kept    bool            // we have put it, for an instance without a keeper
}

func (l leaf) ours() bool { return l.holder != "" || l.kept }

// tree reads what stands in ZooKeeper.
type tree struct {
	cfg  Config
	conn *zk.Conn

	mu      sync.Mutex
	changed chan struct{}              // closed by the next event
	watched map[string]<-chan zk.Event // of children
	authed  bool
	// sessions are those of keepers, when sessionsAsOf was the last change of who there is.
	sessions     map[int64]abt2.InstanceID
	sessionsAsOf int64
}

func newTree(c Config) *tree {
	return &tree{cfg: c, changed: make(chan struct{}), watched: map[string]<-chan zk.Event{}}
}

// fire wakes whoever waits for a change.
func (t *tree) fire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}

// next returns what closes with the next event.
func (t *tree) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// reach makes sure that a server answers and knows who we are.
func (t *tree) reach(ctx context.Context) error {
	for {
		changed := t.next()
		if t.conn.State() == zk.StateHasSession {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return abt2.Wrap(abt2.CodeUnavailable, context.Cause(ctx), "no ZooKeeper answers at %v", t.cfg.ZooKeeper.Addresses)
		}
	}
	t.mu.Lock()
	authed := t.authed
	t.mu.Unlock()
	if !authed {
		if err := t.cfg.ZooKeeper.Authenticate(t.conn); err != nil {
			return failed(err, t.cfg.Prefix)
		}
		t.mu.Lock()
		t.authed = true
		t.mu.Unlock()
	}
	return nil
}

// failed says what a call of ZooKeeper's that went wrong means.
func failed(err error, p string) error {
	switch {
	case errors.Is(err, zk.ErrNoAuth):
		return abt2.Wrap(abt2.CodeRefused, err, "%s: ZooKeeper does not let us write there; the digest must be that of whoever made the node (--zookeeper-digest-file)", p)
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrNoServer), errors.Is(err, zk.ErrSessionExpired), errors.Is(err, zk.ErrSessionMoved):
		return abt2.Wrap(abt2.CodeUnavailable, err, "%s: the connection to ZooKeeper is lost", p)
	}
	return abt2.Wrap(abt2.CodeFailed, err, "%s: ZooKeeper refuses", p)
}

// children lists a node's children, none where it does not exist, and sees to it
// that an event tells when there are others. The client keeps every watch that
// has not fired, so that there must be only one.
func (t *tree) children(p string) ([]string, error) {
	t.mu.Lock()
	select {
	case <-t.watched[p]:
		delete(t.watched, p)
	default:
	}
	watched := t.watched[p] != nil
	t.mu.Unlock()
	if watched {
		list, _, err := t.conn.Children(p)
		return list, absent(err, p)
	}
	list, _, fires, err := t.conn.ChildrenW(p)
	if errors.Is(err, zk.ErrNoNode) { // wait for the node itself
		var there bool
		if there, _, fires, err = t.conn.ExistsW(p); there && err == nil {
			return t.children(p)
		}
	}
	if err == nil {
		t.mu.Lock()
		t.watched[p] = fires
		t.mu.Unlock()
	}
	return list, absent(err, p)
}

// all reports whether every one of these leaves exists, or none does, by the
// names at their places.
func (t *tree) all(leaves []string, exist bool) (bool, error) {
	names := map[string][]string{}
	for _, p := range leaves {
		place := path.Dir(p)
		list, read := names[place]
		if !read {
			var err error
			if list, err = t.children(place); err != nil {
				return false, err
			}
			slices.Sort(list)
			names[place] = list
		}
		if _, found := slices.BinarySearch(list, path.Base(p)); found != exist {
			return false, nil
		}
	}
	return true, nil
}

func absent(err error, p string) error {
	if err == nil || errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return failed(err, p)
}

// parallel is how many calls are on their way at once.
const parallel = 32

// shortData bounds the data that is looked at; what is longer is no host name.
const shortData = 1 << 10

// read returns what stands at each place, by address.
func (t *tree) read(ctx context.Context, places []string, withData bool) (map[string][]leaf, error) {
	holders, err := t.holders(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := t.kept()
	if err != nil {
		return nil, err
	}
	out := map[string][]leaf{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, place := range places {
		addresses, err := t.children(place)
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		for _, a := range addresses {
			group.Go(func() error {
				p := path.Join(place, a)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				ok, stat, err := t.conn.Exists(p)
				if err != nil || !ok {
					return absent(err, p)
				}
				l := leaf{address: a, size: int(stat.DataLength), kept: stat.EphemeralOwner == 0 && kept[p]}
				if stat.EphemeralOwner != 0 {
					l.holder = holders[stat.EphemeralOwner]
				}
				if l.holder != "" && stat.Version == 0 {
					l.data = t.cfg.Host // as its keeper wrote it
				} else if withData && l.size <= shortData {
					b, _, err := t.conn.Get(p)
					if err != nil {
						return absent(err, p)
					}
					l.data = string(b)
				}
				mu.Lock()
				defer mu.Unlock()
				out[place] = append(out[place], l)
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b leaf) int { return cmp.Compare(a.address, b.address) })
	}
	return out, nil
}

// holders tells which session is that of which instance's keeper. The map is
// not to be changed.
func (t *tree) holders(ctx context.Context) (map[int64]abt2.InstanceID, error) {
	dir := t.cfg.holdersPath()
	list, dirStat, err := t.conn.Children(dir)
	if err != nil {
		return nil, absent(err, dir)
	}
	t.mu.Lock()
	known, asOf := t.sessions, t.sessionsAsOf
	t.mu.Unlock()
	if known != nil && asOf == dirStat.Pzxid { // nobody has come or gone since
		return known, nil
	}
	out := map[int64]abt2.InstanceID{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range list {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			ok, stat, err := t.conn.Exists(path.Join(dir, name))
			if err != nil || !ok {
				return absent(err, dir)
			}
			mu.Lock()
			defer mu.Unlock()
			out[stat.EphemeralOwner] = abt2.InstanceID(name)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions, t.sessionsAsOf = out, dirStat.Pzxid
	return out, nil
}
