package disconf

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/go-zookeeper/zk"
)

// notices gathers which nodes have changed, as ZooKeeper's watches tell.
type notices struct {
	mu    sync.Mutex
	dirty map[string]bool
	all   bool          // the connection has changed, maybe in a new session
	lost  bool          // there is none
	some  chan struct{} // one slot
}

func newNotices() *notices {
	return &notices{dirty: map[string]bool{}, some: make(chan struct{}, 1)}
}

// event is called by the ZooKeeper client's only goroutine. It hears of every
// watch, so that nobody has to wait at one.
func (n *notices) event(e zk.Event) {
	switch {
	case e.Path != "":
		n.mark(e.Path)
	case e.State == zk.StateHasSession || e.State == zk.StateExpired || e.State == zk.StateDisconnected:
		n.mu.Lock()
		n.all, n.lost = true, e.State != zk.StateHasSession
		n.mu.Unlock()
		n.wake()
	}
}

// mark notes that a node is to be looked at.
func (n *notices) mark(node string) {
	n.mu.Lock()
	n.dirty[node] = true
	n.mu.Unlock()
	n.wake()
}

func (n *notices) wake() {
	select {
	case n.some <- struct{}{}:
	default:
	}
}

// take returns what has changed since the last call, and whether ZooKeeper is away.
func (n *notices) take() (dirty map[string]bool, all, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	dirty, all = n.dirty, n.all
	n.dirty, n.all = map[string]bool{}, false
	return dirty, all, n.lost
}

// errLost is what values say while ZooKeeper is away.
var errLost = errors.New("ZooKeeper cannot be reached, so a change would not be noticed")

// watch makes the value's node, unless it is there, and watches it.
func (c *Client) watch(ctx context.Context, v *Value) error {
	return c.bounded(ctx, func() error {
		_, _, _, err := c.conn.GetW(v.node)
		if !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := c.make(v.node); err != nil {
			return err
		}
		_, _, _, err = c.conn.GetW(v.node)
		return err
	})
}

// make creates a node, with those above it.
func (c *Client) make(node string) error {
	_, err := c.conn.Create(node, nil, 0, zk.WorldACL(zk.PermAll))
	switch {
	case errors.Is(err, zk.ErrNodeExists):
		return nil
	case errors.Is(err, zk.ErrNoNode) && path.Dir(node) != "/":
		if err := c.make(path.Dir(node)); err != nil {
			return err
		}
		return c.make(node)
	}
	return err
}

// report tells below the value's node what is in effect, and watches that, so
// that it is told again when somebody deletes or changes it.
func (c *Client) report(ctx context.Context, v *Value) error {
	if !v.bound {
		return nil
	}
	text, node := []byte(v.Get()), v.child(c.config.Name)
	return c.bounded(ctx, func() error {
		session := c.conn.SessionID()
		if v.watched && v.session == session && v.told != string(text) {
			// The watch tells of this, too, and is set anew then.
			if _, err := c.conn.Set(node, text, -1); err == nil {
				v.told = string(text)
				return nil
			}
		}
		data, stat, _, err := c.conn.GetW(node)
		if err == nil && stat.EphemeralOwner != session {
			// Of a session that is over; it would vanish with that.
			if err = c.conn.Delete(node, stat.Version); err == nil {
				err = zk.ErrNoNode
			}
		}
		switch {
		case errors.Is(err, zk.ErrNoNode):
			if _, err = c.conn.Create(node, text, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err == nil {
				_, _, _, err = c.conn.GetW(node)
			}
		case err == nil && string(data) != string(text):
			_, err = c.conn.Set(node, text, stat.Version)
		}
		if err == nil {
			v.session, v.told, v.watched = session, string(text), true
		}
		return err
	})
}

// bounded does what it can until ctx ends: the ZooKeeper client waits for a connection.
func (c *Client) bounded(ctx context.Context, what func() error) error {
	done := make(chan error, 1)
	go func() { done <- what() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("ZooKeeper: %w", err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
