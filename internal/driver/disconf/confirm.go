package disconf

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
)

// notices gathers which nodes have changed, as ZooKeeper's watches tell.
type notices struct {
	mu    sync.Mutex
	dirty map[string]bool
	all   bool          // the session has ended, and the watches with it
	some  chan struct{} // one slot
}

func newNotices() *notices {
	return &notices{dirty: map[string]bool{}, some: make(chan struct{}, 1)}
}

// event is called by the ZooKeeper client's only goroutine.
func (n *notices) event(e zk.Event) {
	n.mu.Lock()
	switch {
	case e.Path != "":
		n.dirty[e.Path] = true
	case e.State == zk.StateExpired || e.State == zk.StateHasSession:
		n.all = true
	}
	n.mu.Unlock()
	select {
	case n.some <- struct{}{}:
	default:
	}
}

// take returns what has changed since the last call.
func (n *notices) take() (dirty map[string]bool, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	dirty, all = n.dirty, n.all
	n.dirty, n.all = map[string]bool{}, false
	return dirty, all
}

// report is what clients say that is in effect in them, by node and client.
type report map[string]map[string]string

// confirm waits until every client that reports a value reports the wanted one.
// When ctx ends first the error is of CodeUnconfirmed and names who does not.
//
// fresh are the nodes that were written just now: who reports another value below
// one of the others, or appears with one, is reminded once.
func (c *Centre) confirm(ctx context.Context, want map[string]values, fresh map[string]bool) error {
	nodes := map[string]wanted{}
	for app, v := range want {
		for k, value := range v {
			nodes[c.node(app, k)] = wanted{app, k, value}
		}
	}
	have, known := report{}, map[string]bool{}
	for node := range nodes {
		if err := c.look(have, node); err != nil {
			return unreachable(err, node)
		}
		for client := range have[node] {
			known[path.Join(node, client)] = fresh[node]
		}
	}
	for {
		late := laggards(nodes, have)
		if len(late) == 0 {
			return nil
		}
		for node, w := range nodes {
			if strangersTo(known, node, w, have[node]) {
				if err := c.source.remind(ctx, w.app, w.key, w.value); err != nil {
					return err
				}
			}
		}
		select {
		case <-c.told.some:
		case <-ctx.Done():
			return abt2.Wrap(abt2.CodeUnconfirmed, context.Cause(ctx), "not in effect yet: %s", strings.Join(late, ", "))
		}
		dirty, all := c.told.take()
		for node := range nodes {
			if all || dirty[node] {
				if err := c.look(have, node); err != nil {
					return unreachable(err, node)
				}
				continue
			}
			var changed []string
			for client := range have[node] {
				if dirty[path.Join(node, client)] {
					changed = append(changed, client)
				}
			}
			if err := c.ask(have[node], node, changed); err != nil {
				return unreachable(err, node)
			}
		}
	}
}

// wanted is a value that should be in effect.
type wanted struct {
	app   string
	key   key
	value string
}

// strangersTo reports whether a client with another value has not been notified,
// and notes that all are from now on.
func strangersTo(known map[string]bool, node string, w wanted, clients map[string]string) (some bool) {
	for client, value := range clients {
		if at := path.Join(node, client); !known[at] && !inEffect(w.key, w.value, value) {
			known[at], some = true, true
		}
	}
	return some
}

// laggards names the clients that report another value.
func laggards(nodes map[string]wanted, have report) []string {
	var out []string
	for node, w := range nodes {
		for client, value := range have[node] {
			if !inEffect(w.key, w.value, value) {
				out = append(out, fmt.Sprintf("%s of %s (has %s)", client, path.Base(string(w.key)), short(value)))
			}
		}
	}
	slices.Sort(out)
	return out
}

// look reads what all clients report below a node, and watches it.
func (c *Centre) look(have report, node string) error {
	children, _, _, err := c.conn.ChildrenW(node)
	if errors.Is(err, zk.ErrNoNode) {
		delete(have, node)
		return nil
	}
	if err != nil {
		return err
	}
	clients := map[string]string{}
	for _, client := range children {
		if value, ok := have[node][client]; ok {
			clients[client] = value
		}
	}
	have[node] = clients
	return c.ask(clients, node, children)
}

// atOnce is how many questions are on their way to ZooKeeper at a time.
const atOnce = 32

// ask reads what some clients report, and watches it.
func (c *Centre) ask(clients map[string]string, node string, which []string) error {
	type answer struct {
		client string
		data   []byte
		stat   *zk.Stat
		err    error
	}
	answers, slots := make(chan answer), make(chan struct{}, atOnce)
	for _, client := range which {
		go func() {
			slots <- struct{}{}
			data, stat, _, err := c.conn.GetW(path.Join(node, client))
			<-slots
			answers <- answer{client, data, stat, err}
		}()
	}
	var failed error
	for range which {
		a := <-answers
		switch {
		case errors.Is(a.err, zk.ErrNoNode):
			delete(clients, a.client)
		case a.err != nil:
			failed = a.err
		case a.stat.EphemeralOwner == 0:
			delete(clients, a.client) // nobody's report; Compare names it
		default:
			clients[a.client] = string(a.data)
		}
	}
	return failed
}

// short keeps a value presentable in a message.
func short(value string) string {
	const most = 60
	if len(value) > most {
		value = value[:most] + "…"
	}
	return strings.Join(strings.Fields(value), " ")
}
