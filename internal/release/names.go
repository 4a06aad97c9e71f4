package release

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"abt2.dev"
)

// directory is the one that was handed out last.
type directory struct {
	building lock // one at a time, so that an older one never replaces a newer

	mu      sync.Mutex
	now     *abt2.Directory // nil until the engine is ready
	changed chan struct{}   // closed when another takes its place
}

func newDirectory() *directory {
	return &directory{building: newLock(), changed: make(chan struct{})}
}

func (d *directory) get() (*abt2.Directory, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now, d.changed
}

func (d *directory) set(next *abt2.Directory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != nil && reflect.DeepEqual(d.now, next) {
		return
	}
	d.now = next
	close(d.changed)
	d.changed = make(chan struct{})
}

// Directory returns what stands under every name, nil before Ready, and a
// channel that is closed when that has changed.
func (e *Engine) Directory() (*abt2.Directory, <-chan struct{}) { return e.names.get() }

// followNames keeps the directory at what there is until ctx ends.
func (e *Engine) followNames(ctx context.Context) {
	for {
		moved := e.moved.wait()
		var retry <-chan time.Time
		if err := e.updateNames(ctx); err != nil && ctx.Err() == nil {
			e.Log.Warn("names could not follow what runs; trying again soon", "error", err)
			retry = time.After(lookSoon)
		}
		select {
		case <-ctx.Done():
			return
		case <-moved:
		case <-retry:
		}
	}
}

// updateNames brings the directory up to date with everything that has happened
// before the call.
func (e *Engine) updateNames(ctx context.Context) error {
	if err := e.names.building.take(ctx); err != nil {
		return err
	}
	defer e.names.building.Unlock()
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	e.names.set(directoryOf(s, e.running(true), e.desired().Table))
	return nil
}

// directoryOf is what stands under every name: groups by the state, online
// versions and whom to call by what routers were told, and the rest by the platform.
func directoryOf(s *abt2.State, running []abt2.Instance, t abt2.Table) *abt2.Directory {
	d := &abt2.Directory{
		Products: map[abt2.ProductName]abt2.DirectoryProduct{}, Versions: map[abt2.ModuleName]uint64{},
		Instances: map[abt2.VersionID][]abt2.NamedInstance{},
	}
	environments := map[abt2.EnvironmentID]abt2.TableEnvironment{}
	for _, e := range t.Environments {
		environments[e.ID] = e
	}
	tags := map[abt2.VersionID][]abt2.Role{}
	for _, p := range t.Products {
		online := map[abt2.ModuleName]abt2.VersionID{}
		for _, v := range environments[p.Online].Modules {
			online[v.Module] = v
		}
		dp := abt2.DirectoryProduct{Online: online}
		if own := s.Products[p.Name]; own != nil {
			dp.Groups = maps.Clone(own.Groups)
		}
		d.Products[p.Name] = dp
		for _, r := range []struct {
			id   abt2.EnvironmentID
			role abt2.Role
		}{{p.Online, abt2.RoleOnline}, {p.Preview, abt2.RolePreview}, {p.Backup, abt2.RoleBackup}} {
			for _, v := range environments[r.id].Modules {
				if !slices.Contains(tags[v], r.role) {
					tags[v] = append(tags[v], r.role)
				}
			}
		}
	}
	for name, m := range s.Modules {
		if !m.Deleted {
			d.Versions[name] = m.Versions
		}
	}
	callable := map[abt2.InstanceID]bool{}
	for _, v := range t.Versions {
		for _, i := range v.Instances {
			callable[i.ID] = true
		}
	}
	for _, i := range running {
		d.Instances[i.Version] = append(d.Instances[i.Version], abt2.NamedInstance{
			InstanceStatus: instanceStatus(s, i), Callable: callable[i.ID], Tags: inOrder(tags[i.Version]),
		})
	}
	for _, list := range d.Instances {
		slices.SortFunc(list, func(a, b abt2.NamedInstance) int { return cmp.Compare(a.ID, b.ID) })
	}
	return d
}

// inOrder lists roles as people think of them, whatever product came first.
func inOrder(roles []abt2.Role) []abt2.Role {
	out := []abt2.Role{}
	for _, r := range []abt2.Role{abt2.RoleOnline, abt2.RolePreview, abt2.RoleBackup} {
		if slices.Contains(roles, r) {
			out = append(out, r)
		}
	}
	return out
}

func instanceStatus(s *abt2.State, i abt2.Instance) abt2.InstanceStatus {
	return abt2.InstanceStatus{
		ID: i.ID, Module: i.Version.Module, Version: i.Version, Address: i.Address, State: i.State, Restarts: i.Restarts, Detail: i.Detail,
		External: s.Versions[i.Version].External(),
	}
}

// withStopped adds what operators have stopped to what runs, by id.
func withStopped(s *abt2.State, list []abt2.InstanceStatus) []abt2.InstanceStatus {
	runs := map[abt2.InstanceID]bool{} // still: it is about to end
	for _, i := range list {
		runs[i.ID] = true
	}
	for _, m := range s.Modules {
		for _, i := range m.Stopped {
			if !runs[i.ID] {
				list = append(list, abt2.InstanceStatus{ID: i.ID, Module: m.Name, Version: i.Version, State: abt2.InstanceStopped, Detail: stoppedText(i)})
			}
		}
	}
	slices.SortFunc(list, func(a, b abt2.InstanceStatus) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// stoppedText says who has stopped an instance, and when.
func stoppedText(i abt2.StoppedInstance) string {
	return fmt.Sprintf("stopped by %s, %s", i.Operator, i.Time.UTC().Format(time.RFC3339))
}

// Lookup implements abt2.Service.
func (e *Engine) Lookup(ctx context.Context, q abt2.LookupRequest) (abt2.Lookup, error) {
	if err := e.checkReady(); err != nil {
		return abt2.Lookup{}, err
	}
	if q.Wait < 0 || q.Wait > abt2.MaxLookupWait {
		return abt2.Lookup{}, abt2.Errorf(abt2.CodeInvalid, "wait %q: must be 0s to %s", q.Wait, abt2.MaxLookupWait)
	}
	if err := e.updateNames(ctx); err != nil {
		return abt2.Lookup{}, err
	}
	enough := time.NewTimer(q.Wait)
	defer enough.Stop()
	for late := false; ; {
		d, changed := e.Directory()
		l, err := d.Lookup(q.Product, q.Name, q.Number)
		if err != nil || late || q.Wait == 0 || l.Digest != q.Seen {
			return e.withLoad(l), err
		}
		select {
		case <-changed:
		case <-enough.C:
			late = true
		case <-ctx.Done():
			return abt2.Lookup{}, context.Cause(ctx)
		case <-e.work.Done():
			return abt2.Lookup{}, abt2.Errorf(abt2.CodeUnavailable, "the server ended while a change of %s was waited for; ask again", q.Name)
		}
	}
}

// withLoad adds what instances last reported of their work. An instance is a
// router of its own id, if it has the SDK.
func (e *Engine) withLoad(l abt2.Lookup) abt2.Lookup {
	load := map[abt2.InstanceID]int{}
	for _, r := range e.Routers.Statuses() {
		if r.Role == roleProcess && r.Connected {
			load[abt2.InstanceID(r.ID)] = int(r.Carried)
		}
	}
	for i, in := range l.Instances { // the slice is l's own, made by Directory.Lookup
		if n, known := load[in.ID]; known {
			l.Instances[i].Load = &n
		}
	}
	return l
}

// Groups implements abt2.Service.
func (e *Engine) Groups(ctx context.Context, product abt2.ProductName) ([]abt2.Group, error) {
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	return s.GroupsOf(product)
}

// ChangeGroup implements abt2.Service.
func (e *Engine) ChangeGroup(ctx context.Context, q abt2.GroupRequest) (abt2.Group, error) {
	if err := e.checkReady(); err != nil {
		return abt2.Group{}, err
	}
	var out abt2.Group
	err := e.change(ctx, q.DryRun, func(s *abt2.State) (err error) {
		out, err = s.ChangeGroup(actor(ctx, q.By), q)
		return err
	})
	return out, err
}

// told lets names follow every change of the state.
type told struct {
	Store
	moved *signal
}

// Update implements Store.
func (t told) Update(ctx context.Context, fn func(*abt2.State) error) (*abt2.State, error) {
	s, err := t.Store.Update(ctx, fn)
	if err == nil {
		t.moved.fire()
	}
	return s, err
}
