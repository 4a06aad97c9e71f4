package navi

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
)

// Claim makes sure that everything below the prefix is this installation's to
// write. It is CodeRefused where another one has come first, and CodeUnavailable
// while no ZooKeeper answers.
func (r *Registry) Claim(ctx context.Context) error {
	if err := checkPrefix(r.cfg.Prefix); err != nil {
		return err
	}
	if err := r.tree.reach(ctx); err != nil {
		return err
	}
	p := r.cfg.ownerPath()
	for range 2 {
		owner, _, err := r.conn.Get(p)
		switch {
		case err == nil && string(owner) == r.cfg.Owner:
			return nil
		case err == nil:
			return abt2.Errorf(abt2.CodeRefused, "--navi-prefix %q: belongs to the abt2 installation %.40q; choose another prefix, or, if that installation is no more, delete the node %s", r.cfg.Prefix, owner, p)
		case !errors.Is(err, zk.ErrNoNode):
			return failed(err, p)
		}
		if err := r.cfg.ZooKeeper.EnsureParents(r.conn, p); err != nil {
			return failed(err, p)
		}
		if _, err := r.conn.Create(p, []byte(r.cfg.Owner), 0, r.cfg.ZooKeeper.ACL()); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return failed(err, p)
		}
	}
	return nil
}
