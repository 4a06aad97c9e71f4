// Package navi is a registry in ZooKeeper, laid out as Navi-rpc's clients know
// it: whoever watches a path sees which instances there are.
//
//	/navi_rpc                             the prefix
//	  /NAMESPACE/INTERFACE/IP:PORT        unversioned: one version stands here
//	  /NAMESPACE/NUMBER/INTERFACE/IP:PORT a version's own place
//	  /.abt2/owner                        the installation that writes below the prefix
//	  /.abt2/holders/INSTANCE             ephemeral, of the session that holds the instance's leaves
//	  /.abt2/kept/ESCAPED-PATH            leaves that are held by nobody's session, for external versions
//
// A leaf's data is a host name. Leaves are ephemeral nodes of the instances'
// keepers, never of the server, whose end empties no list. Instances that abt2
// does not start have no keeper: theirs are persistent, and gone when the server
// knows that the instance is not healthy. Whose session a leaf belongs to tells
// ours from somebody else's.
package navi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/lane/zookeeper"
)

// DefaultPrefix is where Navi's clients look.
const DefaultPrefix = "/navi_rpc"

// Holders is who holds the leaves of instances: their keepers.
type Holders interface {
	// Hold has an instance's keeper hold names, and answers when it has taken
	// them. An instance that does not exist is CodeNotFound.
	Hold(ctx context.Context, id abt2.InstanceID, n *shimpb.Names) error
	// Holdings returns what keepers say that they hold.
	Holdings(ctx context.Context) map[abt2.InstanceID]*shimpb.Held
}

// Config is what a Registry works with. ZooKeeper, Owner and Holders are required.
type Config struct {
	ZooKeeper zookeeper.Config
	Prefix    string // DefaultPrefix where it is empty
	// Owner is this installation's own name, never another's.
	Owner   string
	Host    string // the data of leaves
	Holders Holders
	Log     *slog.Logger
}

// Registry implements abt2.Lister. It works while Run does.
type Registry struct {
	cfg  Config
	conn *zk.Conn
	tree *tree

	closeConn func()

	wake chan struct{} // one slot

	// told is what keepers were told last, the nodes by instance. Run's alone.
	told map[abt2.InstanceID]map[string]string

	mu      sync.Mutex
	want    abt2.Names
	order   uint64        // grows with everything that is asked for
	newer   chan struct{} // closed by the next that is asked for
	have    abt2.Mark
	done    uint64 // the order that the last success has carried out
	failure error  // of the last attempt
	changed chan struct{}
	known   bool // want was set
}

var _ abt2.Lister = (*Registry)(nil)

// New returns a registry that tries to reach its ZooKeeper from now on. It must
// be closed.
func New(c Config) (*Registry, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.ZooKeeper.SessionTimeout == 0 {
		c.ZooKeeper.SessionTimeout = zookeeper.DefaultSessionTimeout
	}
	r := &Registry{cfg: c, wake: make(chan struct{}, 1), told: map[abt2.InstanceID]map[string]string{}, newer: make(chan struct{}), changed: make(chan struct{})}
	r.tree = newTree(c)
	conn, closeConn, err := zookeeper.Connect(c.ZooKeeper, r.event)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--zookeeper: cannot be used")
	}
	r.conn, r.closeConn, r.tree.conn = conn, closeConn, conn
	return r, nil
}

// Close ends the connection. What instances hold stays.
func (r *Registry) Close() { r.closeConn() }

func (r *Registry) event(e zk.Event) {
	r.tree.fire()
	if e.Type != zk.EventSession || e.State == zk.StateHasSession {
		r.nudge()
	}
}

func (r *Registry) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Follow implements abt2.Lister.
func (r *Registry) Follow(n abt2.Names) { _, _ = r.ask(n) }

// ask makes n what is wanted, unless it is older.
func (r *Registry) ask(n abt2.Names) (order uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.want.Mark; r.known && old.Epoch == n.Mark.Epoch && old.Revision > n.Mark.Revision {
		return 0, abt2.Errorf(abt2.CodeRefused, "names of revision %d are older than those wanted, of %d", n.Mark.Revision, old.Revision)
	}
	r.want, r.known = n, true
	r.order++
	close(r.newer)
	r.newer = make(chan struct{})
	r.nudge()
	return r.order, nil
}

// Apply implements abt2.Registry.
func (r *Registry) Apply(ctx context.Context, n abt2.Names) error {
	order, err := r.ask(n)
	if err != nil {
		return err
	}
	for {
		r.mu.Lock()
		done, failure, changed := r.done >= order, r.failure, r.changed
		r.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if failure == nil {
				failure = context.Cause(ctx)
			}
			return abt2.Wrap(abt2.CodeUnconfirmed, failure, "names in ZooKeeper have not followed")
		}
	}
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// attempt bounds one try to bring about what is wanted.
	attempt = 30 * time.Second
)

// Run brings about what is wanted, and again whatever changes in ZooKeeper,
// until ctx ends. It returns the context's cause.
func (r *Registry) Run(ctx context.Context) error {
	pause := firstPause
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.wake:
		case <-retry:
		}
		retry = nil
		r.mu.Lock()
		want, order, newer, known := r.want, r.order, r.newer, r.known
		r.mu.Unlock()
		if !known {
			continue
		}
		one, cancel := context.WithTimeout(ctx, attempt)
		err := r.settle(one, want, newer)
		cancel()
		if ctx.Err() != nil || errors.Is(err, errSuperseded) {
			continue // whoever asked has nudged
		}
		r.mu.Lock()
		told := r.failure != nil && err != nil && r.failure.Error() == err.Error()
		r.failure = err
		if err == nil {
			r.have, r.done = want.Mark, order
		}
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
		if err == nil {
			pause = firstPause
			continue
		}
		if !told {
			r.cfg.Log.Warn("names in ZooKeeper are not as they should be", "error", err)
		}
		retry = time.After(pause)
		pause = min(2*pause, longestPause)
	}
}
