package disconf

import (
	"context"
	"errors"
	"path"
	"slices"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
)

// ours is the Centre's own Handler as a source, with nodes in a prefix of its own.
type ours struct{ *Centre }

func (o *ours) begin(context.Context, map[string]values) error {
	return o.own(o.Prefix, "choose another --disconf-prefix")
}

func (o *ours) put(ctx context.Context, app string, k key, value string) (written bool, err error) {
	o.mu.Lock()
	if o.served[app] == nil {
		o.served[app] = values{}
	}
	o.served[app][k] = value
	o.mu.Unlock()
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	node := o.node(app, k)
	data, stat, err := o.conn.Get(node)
	if errors.Is(err, zk.ErrNoNode) {
		if err = o.make(node, []byte(value)); err == nil {
			data, stat, err = o.conn.Get(node)
		}
	}
	if err == nil && string(data) != value {
		_, err = o.conn.Set(node, []byte(value), stat.Version)
		written = true
	}
	if err != nil {
		return false, unreachable(err, node)
	}
	return written, nil
}

func (o *ours) remind(_ context.Context, app string, k key, value string) error {
	if _, err := o.conn.Set(o.node(app, k), []byte(value), -1); err != nil {
		return unreachable(err, o.node(app, k))
	}
	return nil
}

// forget leaves nodes below which a client still reports to a later Apply.
func (o *ours) forget(ctx context.Context, want map[string]values) {
	o.mu.Lock()
	var gone []string
	for app, v := range o.served {
		for k := range v {
			if _, ok := want[app][k]; !ok {
				gone = append(gone, o.node(app, k))
				delete(v, k)
			}
		}
	}
	o.mu.Unlock()
	for _, node := range gone {
		if err := o.conn.Delete(node, -1); err != nil && !errors.Is(err, zk.ErrNoNode) && ctx.Err() == nil {
			o.Log.Info("a value that is gone keeps its node in ZooKeeper", "node", node, "error", err)
		}
	}
}

func (o *ours) compare(ctx context.Context, app string, want values) ([]abt2.Difference, error) {
	var out []abt2.Difference
	for _, k := range want.keys() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		node := o.node(app, k)
		data, _, err := o.conn.Get(node)
		switch {
		case errors.Is(err, zk.ErrNoNode):
			out = append(out, abt2.Difference{Object: node, Should: short(want[k]), Is: "absent", Remedy: "abt2 refresh"})
		case err != nil:
			return nil, unreachable(err, node)
		case string(data) != want[k]:
			out = append(out, abt2.Difference{Object: node, Should: short(want[k]), Is: short(string(data)), Remedy: "abt2 refresh"})
		}
	}
	strangers, err := o.strangers(app, want)
	return append(out, strangers...), err
}

// strangers names the nodes among an app's that are not of abt2. They are left alone.
func (o *ours) strangers(app string, want values) ([]abt2.Difference, error) {
	var out []abt2.Difference
	for _, folder := range []string{"item", "file"} {
		at := path.Join(o.base(app), folder)
		names, _, err := o.conn.Children(at)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, unreachable(err, at)
		}
		slices.Sort(names)
		for _, name := range names {
			k := key(path.Join(folder, name))
			if _, ok := want[k]; ok {
				continue
			}
			out = append(out, abt2.Difference{Object: o.node(app, k), Should: "nothing", Is: "a value that abt2 does not publish", Remedy: "nothing is served under that name: look at which client asks for it"})
		}
	}
	return out, nil
}
