package navi

import (
	"errors"
	"net/url"

	"github.com/go-zookeeper/zk"
)

// kept lists the leaves that nobody's session holds, which we have put.
func (t *tree) kept() (map[string]bool, error) {
	dir := t.cfg.keptPath()
	notes, _, err := t.conn.Children(dir)
	if err != nil {
		return nil, absent(err, dir)
	}
	out := map[string]bool{}
	for _, n := range notes {
		if p, err := url.PathUnescape(n); err == nil {
			out[p] = true
		}
	}
	return out, nil
}

// keep puts a persistent leaf, and the note that we have, in one step. One that
// stands there already, whoever has put it, is left as it is.
func (t *tree) keep(p, data string) error {
	note := t.cfg.keptNote(p)
	for range 2 {
		for _, q := range []string{p, note} {
			if err := t.cfg.ZooKeeper.EnsureParents(t.conn, q); err != nil {
				return failed(err, q)
			}
		}
		_, err := t.conn.Multi(
			&zk.CreateRequest{Path: p, Data: []byte(data), Acl: t.cfg.ZooKeeper.ACL()},
			&zk.CreateRequest{Path: note, Acl: t.cfg.ZooKeeper.ACL()})
		if !errors.Is(err, zk.ErrNodeExists) {
			if err != nil {
				return failed(err, p)
			}
			return nil
		}
		if ok, _, err := t.conn.Exists(p); ok || err != nil {
			return absent(err, p)
		}
		if err := t.conn.Delete(note, -1); err != nil && !errors.Is(err, zk.ErrNoNode) { // somebody has deleted the leaf by hand
			return failed(err, note)
		}
	}
	return nil
}

// drop deletes a leaf, whoever has put it, and our note of it.
func (t *tree) drop(p string) error {
	for _, q := range []string{p, t.cfg.keptNote(p)} {
		if err := t.conn.Delete(q, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return failed(err, q)
		}
	}
	return nil
}
