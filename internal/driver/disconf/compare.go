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
		stands, err := c.source.compare(ctx, app, want[app])
		if err != nil {
			return nil, err
		}
		out = append(out, stands...)
		for _, k := range want[app].keys() {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			reports, err := c.compareReports(c.node(app, k), k, want[app][k])
			if err != nil {
				return nil, unreachable(err, c.node(app, k))
			}
			out = append(out, reports...)
		}
	}
	return out, nil
}

// compareReports looks at what clients report of one value.
func (c *Centre) compareReports(node string, k key, value string) ([]abt2.Difference, error) {
	children, _, err := c.conn.Children(node)
	if err != nil && !errors.Is(err, zk.ErrNoNode) { // without a client there need be none
		return nil, err
	}
	var out []abt2.Difference
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
