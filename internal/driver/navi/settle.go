package navi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// plan is what is to stand, by place.
type plan struct {
	places      []string
	desired     map[string]map[string]abt2.TableInstance // place → address → instance
	unversioned map[string]bool
	external    map[string]bool            // places whose instances have no keeper
	withdraw    map[string]map[string]bool // place → addresses
}

func (r *Registry) plan(n abt2.Names) plan {
	p := plan{
		desired: map[string]map[string]abt2.TableInstance{}, unversioned: map[string]bool{},
		external: map[string]bool{}, withdraw: map[string]map[string]bool{},
	}
	for _, l := range n.Listings {
		place := r.cfg.place(l)
		if p.desired[place] != nil {
			continue // two modules of one name: the first has it; a put refuses the second
		}
		p.places = append(p.places, place)
		p.desired[place], p.withdraw[place] = map[string]abt2.TableInstance{}, map[string]bool{}
		p.unversioned[place], p.external[place] = l.Unversioned, l.External
		for _, i := range l.Instances {
			p.desired[place][i.Address] = i
		}
		for _, a := range l.Withdraw {
			p.withdraw[place][a] = p.desired[place][a].ID == ""
		}
	}
	return p
}

// empty makes a place at which nothing is wanted one at which nothing of ours is
// to stand.
func (p *plan) empty(place string) {
	if p.desired[place] == nil {
		p.places = append(p.places, place)
		p.desired[place] = map[string]abt2.TableInstance{}
	}
}

// of is what an instance's keeper is to hold, by path.
func (p plan) of(id abt2.InstanceID) map[string]bool {
	out := map[string]bool{}
	for place, list := range p.desired {
		for a, i := range list {
			if i.ID == id && !p.external[place] {
				out[path.Join(place, a)] = true
			}
		}
	}
	return out
}

// missing lists the leaves that are to stand at a place and do not.
func (p plan) missing(place string, stands []leaf) []string {
	var out []string
	for _, a := range slices.Sorted(maps.Keys(p.desired[place])) {
		i := slices.IndexFunc(stands, func(l leaf) bool { return l.address == a })
		if i < 0 || !p.external[place] && stands[i].holder != p.desired[place][a].ID {
			out = append(out, path.Join(place, a))
		}
	}
	return out
}

// beyond lists the leaves that are to leave a place: ours, and those that were
// given to a version. At an unversioned place the last ones stay where nobody
// can take their place.
func (p plan) beyond(place string, stands []leaf) (out []leaf) {
	if p.unversioned[place] && len(p.desired[place]) == 0 {
		return nil
	}
	for _, l := range stands {
		if _, wanted := p.desired[place][l.address]; !wanted && (l.ours() || p.withdraw[place][l.address]) {
			out = append(out, l)
		}
	}
	return out
}

// settle brings about what is wanted. New leaves are seen in ZooKeeper before
// old ones are told to go, so that no list is ever empty. It gives up with
// errSuperseded when newer closes while it waits for others.
func (r *Registry) settle(ctx context.Context, n abt2.Names, newer <-chan struct{}) error {
	claim, cancel := context.WithTimeout(ctx, 5*time.Second)
	err := r.Claim(claim)
	cancel()
	if err != nil {
		return err
	}
	p := r.plan(n)
	ids := map[abt2.InstanceID]bool{}
	for id, held := range r.cfg.Holders.Holdings(ctx) {
		ids[id] = true
		for _, q := range held.GetPaths() {
			if place := path.Dir(q); place != r.cfg.holdersPath() {
				p.empty(place)
			}
		}
	}
	stands, err := r.tree.read(ctx, p.places, true)
	if err != nil {
		return err
	}
	for _, list := range stands {
		for _, l := range list {
			if l.data != r.cfg.Host {
				delete(r.told, l.holder) // somebody has edited it; told again, its keeper puts it right
			}
		}
	}
	maps.DeleteFunc(r.told, func(id abt2.InstanceID, _ map[string]string) bool { return !ids[id] })
	for place, list := range p.desired {
		for _, i := range list {
			if !p.external[place] {
				ids[i.ID] = true
			}
		}
	}

	// Join.
	stay := map[abt2.InstanceID]map[string]bool{}
	for id := range ids {
		stay[id] = p.of(id)
	}
	for place, list := range stands {
		for _, l := range list {
			if l.holder != "" && p.unversioned[place] && stay[l.holder] != nil {
				stay[l.holder][path.Join(place, l.address)] = true
			}
		}
	}
	failures := r.tell(ctx, n.Mark, stay)
	for place, list := range p.desired {
		for _, a := range slices.Sorted(maps.Keys(list)) {
			if p.external[place] {
				failures = append(failures, r.tree.keep(path.Join(place, a), r.cfg.Host))
			}
		}
	}
	stands, waiting, err := r.await(ctx, newer, p, stands, true, p.missing)
	if errors.Is(err, errSuperseded) {
		return err
	}
	if err != nil {
		return errors.Join(append(failures, err)...)
	}

	// Leave: everywhere but where somebody is still missing.
	leave := map[abt2.InstanceID]map[string]bool{}
	for id := range ids {
		leave[id] = p.of(id)
	}
	for _, place := range p.places {
		incomplete := len(p.missing(place, stands[place])) > 0
		going := p.beyond(place, stands[place])
		for _, l := range stands[place] {
			q := path.Join(place, l.address)
			switch gone := slices.Contains(going, l); {
			case gone && !incomplete && l.holder == "":
				failures = append(failures, r.tree.drop(q))
			case l.holder != "" && leave[l.holder] != nil && p.unversioned[place] && (!gone || incomplete):
				leave[l.holder][q] = true
			}
		}
	}
	failures = append(failures, r.dropKept(p))
	failures = append(failures, r.tell(ctx, n.Mark, leave)...)
	if len(waiting) > 0 {
		failures = append(failures, abt2.Errorf(abt2.CodeUnconfirmed, "%s: not seen in ZooKeeper; what stood there stays", some(waiting)))
		return errors.Join(failures...)
	}
	_, waiting, err = r.await(ctx, newer, p, stands, false, func(place string, stands []leaf) (out []string) {
		for _, l := range p.beyond(place, stands) {
			out = append(out, path.Join(place, l.address))
		}
		return out
	})
	if errors.Is(err, errSuperseded) {
		return err
	}
	if len(waiting) > 0 {
		failures = append(failures, abt2.Errorf(abt2.CodeUnconfirmed, "%s: still stands in ZooKeeper, until the session of a dead keeper expires", some(waiting)))
	}
	return errors.Join(append(failures, err)...)
}

// patience is how long is waited for what others do in ZooKeeper: a keeper that
// has lost its session needs as long to find another. Some of an attempt is left
// for the places where nobody is waited for.
func (r *Registry) patience() time.Duration {
	return min(r.cfg.ZooKeeper.SessionTimeout+5*time.Second, attempt/3)
}

// some names the first of many.
func some(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// errSuperseded says that something else is wanted meanwhile.
var errSuperseded = errors.New("something else is wanted")

// await waits until left has nothing to tell of any place, or r.patience is
// over: then waiting is what it tells. stands was read last, and comes back as it
// is now. present is whether what is waited for is to come or to go: so names
// alone tell when it is worth while to look at every leaf.
func (r *Registry) await(ctx context.Context, newer <-chan struct{}, p plan, stands map[string][]leaf, present bool, left func(place string, stands []leaf) []string) (now map[string][]leaf, waiting []string, err error) {
	over := time.NewTimer(r.patience())
	defer over.Stop()
	waits := func() {
		waiting = nil
		for _, place := range p.places {
			waiting = append(waiting, left(place, stands[place])...)
		}
	}
	look := func() (err error) {
		if stands, err = r.tree.read(ctx, p.places, false); err == nil {
			waits()
		}
		return err
	}
	for waits(); len(waiting) > 0; {
		changed := r.tree.next()
		ready, err := r.tree.all(waiting, present)
		if err == nil && ready {
			err = look()
		}
		if err != nil {
			return nil, nil, err
		}
		if len(waiting) == 0 {
			break
		}
		select {
		case <-changed:
		case <-newer:
			return nil, nil, errSuperseded
		case <-over.C:
			err := look()
			return stands, waiting, err
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
	return stands, waiting, nil
}

// dropKept deletes the leaves that we keep at places which are no more.
func (r *Registry) dropKept(p plan) error {
	kept, err := r.tree.kept()
	if err != nil {
		return err
	}
	var errs []error
	for _, q := range slices.Sorted(maps.Keys(kept)) {
		if _, known := p.desired[path.Dir(q)]; !known {
			errs = append(errs, r.tree.drop(q))
		}
	}
	return errors.Join(errs...)
}

// tell has every keeper hold its paths, but those that were told the same last.
func (r *Registry) tell(ctx context.Context, m abt2.Mark, wants map[abt2.InstanceID]map[string]bool) []error {
	var mu sync.Mutex
	var errs []error
	var group errgroup.Group
	group.SetLimit(parallel)
	for id, paths := range wants {
		nodes := map[string]string{}
		for p := range paths {
			nodes[p] = r.cfg.Host
		}
		if len(nodes) > 0 {
			nodes[r.cfg.holderPath(id)] = r.cfg.Host
		}
		mu.Lock()
		last, known := r.told[id]
		mu.Unlock()
		if known && maps.Equal(last, nodes) {
			continue
		}
		group.Go(func() error {
			err := r.cfg.Holders.Hold(ctx, id, &shimpb.Names{
				Epoch: m.Epoch, Revision: m.Revision, Nodes: nodes,
				Zookeeper: &shimpb.ZooKeeper{
					Addresses: r.cfg.ZooKeeper.Addresses, Digest: r.cfg.ZooKeeper.Digest,
					SessionTimeout: durationpb.New(r.cfg.ZooKeeper.SessionTimeout),
				},
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				r.told[id] = nodes
				return nil
			}
			delete(r.told, id)
			if abt2.CodeOf(err) != abt2.CodeNotFound {
				errs = append(errs, err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	return errs
}
