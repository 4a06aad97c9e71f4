package disconf

import (
	"context"
	"errors"
	"path"
	"slices"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
)

// Compare implements abt2.ConfigCentre.
func (c *Centre) Compare(ctx context.Context, t abt2.Table) ([]abt2.Difference, error) {
	var out []abt2.Difference
	want := valuesOf(t, c.ModuleItems)
	for _, p := range t.Products {
		app := string(p.Name)
		for _, k := range want[app].keys() {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			differences, err := c.compare(c.node(app, k), k, want[app][k])
			if err != nil {
				return nil, unreachable(err, c.node(app, k))
			}
			out = append(out, differences...)
		}
		strangers, err := c.strangers(app, want[app])
		if err != nil {
			return nil, unreachable(err, c.base(app))
		}
		out = append(out, strangers...)
	}
	return out, nil
}

// compare looks at one value and at who reports it.
func (c *Centre) compare(node string, k key, value string) ([]abt2.Difference, error) {
	data, _, err := c.conn.Get(node)
	if errors.Is(err, zk.ErrNoNode) {
		return []abt2.Difference{{Object: node, Should: short(value), Is: "absent", Remedy: "abt2 refresh"}}, nil
	}
	if err != nil {
		return nil, err
	}
	var out []abt2.Difference
	if string(data) != value {
		out = append(out, abt2.Difference{Object: node, Should: short(value), Is: short(string(data)), Remedy: "abt2 refresh"})
	}
	children, _, err := c.conn.Children(node)
	if err != nil {
		return nil, err
	}
	slices.Sort(children)
	for _, client := range children {
		reported, stat, err := c.conn.Get(path.Join(node, client))
		switch {
		case errors.Is(err, zk.ErrNoNode):
			continue
		case err != nil:
			return nil, err
		case stat.EphemeralOwner == 0:
			out = append(out, abt2.Difference{Object: path.Join(node, client), Should: "a client's ephemeral node", Is: "a persistent one: " + short(string(reported)), Remedy: "look who made it, and delete it"})
		case !inEffect(k, value, string(reported)):
			out = append(out, abt2.Difference{Object: path.Join(node, client), Should: short(value), Is: short(string(reported)), Remedy: "look at the client: it has not followed, or cannot reach disconf's address"})
		}
	}
	return out, nil
}

// strangers names nodes among an app's that are not of abt2. They are left alone.
func (c *Centre) strangers(app string, want values) ([]abt2.Difference, error) {
	var out []abt2.Difference
	for _, folder := range []string{"item", "file"} {
		names, _, err := c.conn.Children(path.Join(c.base(app), folder))
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			k := key(path.Join(folder, name))
			if _, ok := want[k]; ok {
				continue
			}
			out = append(out, abt2.Difference{Object: c.node(app, k), Should: "nothing", Is: "a value that abt2 does not publish", Remedy: "nothing is served under that name: look at which client asks for it"})
		}
	}
	return out, nil
}
