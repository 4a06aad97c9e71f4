// Package disconf tells running processes by the disconf protocol what is
// online: values that they fetch by HTTP, and ZooKeeper nodes that tell them when
// to, below which they report the value that is really in effect.
//
// It stands in for a disconf-web (github.com/knightliao/disconf) as far as
// disconf's clients see it, or keeps its values in one. Each product is an app, with
//
//	item/abt2.online            43
//	item/abt2.environment.43    {"order":"order@4","web":"web@2"}
//	file/abt2.properties        environment=43, module.order=order@4, …
//	item/abt2.module.order      order@4, if asked for
//
// An environment's map never changes, and stands there before any id that names it.
package disconf

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
	"abt2.dev/lane/zookeeper"
)

// DefaultPrefix is where disconf's ZooKeeper nodes lie unless its operators say otherwise.
const DefaultPrefix = "/disconf"

// ownerNode, below a folder, says which installation the values there are of.
const ownerNode = "abt2"

// sessionTimeout is asked for; what the server holds there is persistent, so it
// matters only for how soon a dead connection is noticed.
const sessionTimeout = 10 * time.Second

// Config says where the values are published. Every field but the last two is required.
type Config struct {
	ZooKeeper []string // host:port of the servers
	Prefix    string   // of ZooKeeper's nodes
	Version   string   // that clients are configured with
	Env       string   // that clients are configured with
	Owner     string   // identifies the installation: another one's prefix is refused
	Log       *slog.Logger
	// ModuleItems publishes one item a module beside them, for readers that know
	// no maps. They change one after the other: whoever reads several may combine
	// two releases, and nobody should who can read a map.
	ModuleItems bool
	// Web is the disconf-web that clients fetch values from; zero: the Handler.
	Web Web
}

// Centre publishes a table's values. It implements abt2.ConfigCentre.
type Centre struct {
	Config
	conn       *zk.Conn
	disconnect func()
	told       *notices
	source     source

	applying chan struct{}   // one slot: holds a token while nobody applies
	owned    map[string]bool // folders; guarded by applying

	mu     sync.Mutex
	mark   abt2.Mark
	served map[string]values // by app
}

var _ abt2.ConfigCentre = (*Centre)(nil)

// Open returns a Centre that connects, and goes on connecting, by itself. A
// ZooKeeper that is away is an error of Apply and Compare. Close ends it.
func Open(c Config) (*Centre, error) {
	c.Prefix = "/" + strings.Trim(c.Prefix, "/")
	if c.Prefix == "/" || path.Clean(c.Prefix) != c.Prefix {
		return nil, abt2.Errorf(abt2.CodeInvalid, "prefix %q: must be a path in ZooKeeper, like %s", c.Prefix, DefaultPrefix)
	}
	for _, word := range []struct{ field, value string }{{"version", c.Version}, {"env", c.Env}} {
		if word.value == "" || strings.ContainsAny(word.value, "/ ") {
			return nil, abt2.Errorf(abt2.CodeInvalid, "disconf's %s %q: must be a word without slash, as clients are configured with", word.field, word.value)
		}
	}
	out := &Centre{Config: c, told: newNotices(), served: map[string]values{}, applying: make(chan struct{}, 1), owned: map[string]bool{}}
	out.applying <- struct{}{}
	out.source = &ours{out}
	if c.Web != (Web{}) {
		web, err := newWeb(out, c.Web)
		if err != nil {
			return nil, err
		}
		out.source = web
	}
	conn, disconnect, err := zookeeper.Connect(zookeeper.Config{Addresses: c.ZooKeeper, SessionTimeout: sessionTimeout}, out.told.event)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "ZooKeeper %s", strings.Join(c.ZooKeeper, ","))
	}
	out.conn, out.disconnect = conn, disconnect
	return out, nil
}

// Close ends the connection.
func (c *Centre) Close() { c.disconnect() }

// Apply implements abt2.ConfigCentre.
func (c *Centre) Apply(ctx context.Context, t abt2.Table) error {
	select {
	case <-c.applying:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { c.applying <- struct{}{} }()
	c.mu.Lock()
	have := c.mark
	c.mu.Unlock()
	if have.Epoch == t.Mark.Epoch && have.Revision > t.Mark.Revision {
		return abt2.Errorf(abt2.CodeRefused, "values of revision %d: older than those of revision %d that are published", t.Mark.Revision, have.Revision)
	}
	want := valuesOf(t, c.ModuleItems)
	if err := c.source.begin(ctx, want); err != nil {
		return err
	}
	fresh := map[string]bool{}
	// Environments first: an id that is read must not name what is not there yet.
	for _, stage := range [][]string{{kindEnvironment}, {kindFile, kindOnline, kindModule}} {
		for app, v := range want {
			for _, k := range v.keys() {
				if !slices.Contains(stage, k.kind()) {
					continue
				}
				written, err := c.source.put(ctx, app, k, v[k])
				if err != nil {
					return err
				}
				fresh[c.node(app, k)] = written
			}
		}
	}
	if err := c.confirm(ctx, want, fresh); err != nil {
		return err
	}
	c.mu.Lock()
	c.mark = t.Mark
	c.mu.Unlock()
	c.source.forget(ctx, want)
	return nil
}

// own makes a folder this installation's, or finds whose it is.
func (c *Centre) own(folder, remedy string) error {
	if c.owned[folder] {
		return nil
	}
	node := path.Join(folder, ownerNode)
	err := c.make(node, []byte(c.Owner))
	if err != nil {
		return unreachable(err, node)
	}
	data, _, err := c.conn.Get(node)
	if err != nil {
		return unreachable(err, node)
	}
	if string(data) != c.Owner {
		return abt2.Errorf(abt2.CodeRefused, "ZooKeeper %s: belongs to another installation of abt2, %q, says %s; %s, or delete that node if it is gone for good", folder, data, node, remedy)
	}
	c.owned[folder] = true
	return nil
}

// make creates a node, with those above it, unless it is there.
func (c *Centre) make(node string, data []byte) error {
	_, err := c.conn.Create(node, data, 0, zk.WorldACL(zk.PermAll))
	switch {
	case errors.Is(err, zk.ErrNodeExists):
		return nil
	case errors.Is(err, zk.ErrNoNode) && path.Dir(node) != "/":
		if err := c.make(path.Dir(node), nil); err != nil {
			return err
		}
		return c.make(node, data)
	}
	return err
}

// base is the folder of an app's nodes.
func (c *Centre) base(app string) string {
	return path.Join(c.Prefix, app+"_"+c.Version+"_"+c.Env)
}

func (c *Centre) node(app string, k key) string { return path.Join(c.base(app), string(k)) }

func unreachable(err error, node string) error {
	return abt2.Wrap(abt2.CodeUnavailable, err, "ZooKeeper %s", node)
}
