package navi

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
)

// Read implements abt2.Registry: it asks ZooKeeper what stands at each place
// that is wanted. Places at which something of ours stands, though they are no
// longer wanted, are told by those who hold it.
func (r *Registry) Read(ctx context.Context) (abt2.Names, error) {
	if err := r.Claim(ctx); err != nil {
		return abt2.Names{}, err
	}
	r.mu.Lock()
	want, mark := r.want, r.have
	r.mu.Unlock()
	p := r.plan(want)
	stands, err := r.tree.read(ctx, p.places, true)
	if err != nil {
		return abt2.Names{}, err
	}
	out := abt2.Names{Mark: mark}
	for _, l := range want.Listings {
		place := r.cfg.place(l)
		l.Instances, l.Others = nil, nil
		for _, s := range stands[place] {
			i, wanted := p.desired[place][s.address]
			switch {
			case wanted && l.External:
				l.Instances = append(l.Instances, i)
			case s.holder != "":
				l.Instances = append(l.Instances, abt2.TableInstance{ID: s.holder, Address: s.address})
			default:
				l.Others = append(l.Others, r.registration(s))
				continue
			}
			if s.ours() && (s.data != r.cfg.Host || s.size > shortData) {
				l.Others = append(l.Others, abt2.Registration{Address: s.address, Instance: s.holder, Note: fmt.Sprintf("its data is %s, not %q", shown(s), r.cfg.Host)})
			}
		}
		out.Listings = append(out.Listings, l)
	}
	return r.strays(ctx, p, out)
}

// registration tells of a leaf as people see it.
func (r *Registry) registration(l leaf) abt2.Registration {
	out := abt2.Registration{Address: l.address, Host: l.data, Instance: l.holder}
	if l.size > shortData {
		out.Note = fmt.Sprintf("its data has %d bytes", l.size)
	}
	if l.kept {
		out.Note = "kept for an external version"
	}
	if out.Junk = !isAddress(l.address); out.Junk {
		out.Note = "is no address"
	}
	return out
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	n, numeric := strconv.ParseUint(port, 10, 16)
	return err == nil && numeric == nil && n > 0
}

func shown(l leaf) string {
	if l.size > shortData {
		return fmt.Sprintf("%d bytes", l.size)
	}
	return fmt.Sprintf("%q", l.data)
}

// strays adds what keepers hold at places where nothing is wanted.
func (r *Registry) strays(ctx context.Context, p plan, out abt2.Names) (abt2.Names, error) {
	extra := map[string][]abt2.TableInstance{}
	for id, held := range r.cfg.Holders.Holdings(ctx) {
		for _, q := range held.GetPaths() {
			place := path.Dir(q)
			if _, known := p.desired[place]; !known && place != r.cfg.holdersPath() {
				extra[place] = append(extra[place], abt2.TableInstance{ID: id, Address: path.Base(q)})
			}
		}
	}
	for _, place := range slices.Sorted(maps.Keys(extra)) {
		out.Listings = append(out.Listings, abt2.Listing{
			Name: abt2.ServiceName{Namespace: path.Dir(place), Interface: path.Base(place)}, Instances: extra[place],
		})
	}
	return out, ctx.Err()
}

// Listed implements abt2.Lister. While no server of the ensemble answers, as
// between two leaders, it tries again until ctx ends.
func (r *Registry) Listed(ctx context.Context, n abt2.ServiceName) ([]abt2.Registration, error) {
	for {
		out, err := r.look(ctx, n)
		if abt2.CodeOf(err) != abt2.CodeUnavailable {
			return out, err
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (r *Registry) look(ctx context.Context, n abt2.ServiceName) ([]abt2.Registration, error) {
	if err := r.Claim(ctx); err != nil {
		return nil, err
	}
	place := r.cfg.unversioned(n)
	stands, err := r.tree.read(ctx, []string{place}, true)
	if err != nil {
		return nil, err
	}
	var out []abt2.Registration
	for _, l := range stands[place] {
		out = append(out, r.registration(l))
	}
	if len(out) > 0 {
		return out, r.mayWithdraw(place)
	}
	return nil, nil
}

// mayWithdraw refuses a place whose entries somebody else alone may delete.
func (r *Registry) mayWithdraw(place string) error {
	acl, _, err := r.conn.GetACL(place)
	if err != nil {
		return absent(err, place)
	}
	ours := r.cfg.ZooKeeper.ACL()[0]
	for _, a := range acl {
		world := a.Scheme == "world" && a.ID == "anyone"
		if a.Perms&(zk.PermCreate|zk.PermDelete) == zk.PermCreate|zk.PermDelete && (world || a.Scheme == ours.Scheme && a.ID == ours.ID) {
			return nil
		}
	}
	return abt2.Errorf(abt2.CodeRefused, "%s: whoever made the node in ZooKeeper lets only others write there (%v); give abt2 that digest (--zookeeper-digest-file), or open the node", place, acl)
}
