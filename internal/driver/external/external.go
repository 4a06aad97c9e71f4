// Package external is the platform of versions that abt2 does not run: it
// remembers their addresses, resolves their DNS names again and again, and checks
// how they are. It starts, stops and deregisters nothing.
//
// Everything it must not forget lies in one file, external.json, written before
// it takes effect. A platform that is opened again answers for its instances at
// once, as unreachable until the first check has ended: nothing is known of them
// yet, and that is not ended.
package external

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"abt2.dev"
)

// Resolver answers for DNS names, as net.Resolver does.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Config is what a platform needs to know. Dir is required.
type Config struct {
	// Dir is the platform's folder, made where it is absent. The caller makes
	// sure that only one platform in one process uses it.
	Dir      string
	Resolver Resolver // default: the system's
	// CheckEvery is the pause between two checks of a healthy instance, default
	// 2 s; ResolveEvery that between two lookups of a DNS name, default 5 s.
	CheckEvery, ResolveEvery time.Duration
	Log                      *slog.Logger // nil: nowhere
}

// Platform implements abt2.Platform for external versions. Its goroutines,
// which check and resolve, end with Close.
type Platform struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu       sync.Mutex
	last     uint64 // highest number given to an instance
	versions map[abt2.VersionID]*version
	changed  chan struct{} // closed by the next change
}

// version is one external version and its addresses.
type version struct {
	id        abt2.VersionID
	config    abt2.Config
	instances []*instance // the oldest first
	cancel    context.CancelFunc
}

// instance is one address of a version. The address of a DNS name that has never
// been resolved is empty.
type instance struct {
	abt2.Instance
	seq    uint64
	was    bool // healthy, at least once, as far as is known
	cancel context.CancelFunc
}

var _ abt2.Platform = (*Platform)(nil)

// Open reads the platform's folder and begins to check what is in it.
func Open(cfg Config) (*Platform, error) {
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.CheckEvery = cmp.Or(cfg.CheckEvery, 2*time.Second)
	cfg.ResolveEvery = cmp.Or(cfg.ResolveEvery, 5*time.Second)
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "folder %q of external versions: cannot be made", cfg.Dir)
	}
	l, err := readLedger(filepath.Join(cfg.Dir, ledgerFile))
	if err != nil {
		return nil, err
	}
	p := &Platform{cfg: cfg, last: l.Last, versions: map[abt2.VersionID]*version{}, changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, k := range l.Versions {
		v := &version{id: k.ID, config: k.Config}
		for _, i := range k.Instances {
			v.instances = append(v.instances, &instance{seq: i.Seq, was: true, Instance: abt2.Instance{
				ID: instanceID(v.id, i.Seq), Version: v.id, Address: i.Address,
				State: abt2.InstanceUnreachable, Since: time.Now(), Detail: "not checked yet since the server began",
			}})
		}
		p.versions[v.id] = v
		p.begin(v)
	}
	return p, nil
}

// Close ends all checking and returns when it has ended. What is remembered stays.
func (p *Platform) Close() {
	p.cancel()
	p.group.Wait()
}

func instanceID(v abt2.VersionID, seq uint64) abt2.InstanceID {
	return abt2.InstanceID(string(v.Module) + "-" + strconv.FormatUint(v.Number, 10) + "-" + strconv.FormatUint(seq, 10))
}

// Apply implements abt2.Platform: it begins to check the version's addresses.
func (p *Platform) Apply(ctx context.Context, w abt2.Workload) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if w.Version.ID.IsZero() || w.Scale <= 0 || !w.Version.External() {
		return abt2.Errorf(abt2.CodeInvalid, "workload %q at scale %d: needs an external version and a scale above zero; use Remove to end it", w.Version.ID, w.Scale)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v, known := p.versions[w.Version.ID], true
	if v == nil {
		v, known = &version{id: w.Version.ID, config: w.Version.Config}, false
		p.versions[v.id] = v
	}
	v.config = w.Version.Config
	addresses := []string(v.config.External)
	if _, _, dns := v.config.External.DNS(); dns {
		if known {
			return nil // its lookups go on
		}
		addresses = []string{""}
	}
	if err := p.setAddresses(v, addresses); err != nil {
		if !known {
			delete(p.versions, v.id)
		}
		return err
	}
	if !known {
		p.begin(v)
	}
	return nil
}

// setAddresses makes the version have exactly these addresses, keeping those it
// has. On an error nothing has changed. The caller holds p.mu.
func (p *Platform) setAddresses(v *version, addresses []string) error {
	kept := slices.DeleteFunc(slices.Clone(v.instances), func(i *instance) bool { return !slices.Contains(addresses, i.Address) })
	var fresh []*instance
	last := p.last
	for _, a := range addresses {
		if slices.ContainsFunc(kept, func(i *instance) bool { return i.Address == a }) {
			continue
		}
		last++
		fresh = append(fresh, &instance{seq: last, Instance: abt2.Instance{
			ID: instanceID(v.id, last), Version: v.id, Address: a, State: abt2.InstanceStarting, Since: time.Now(), Detail: "not checked yet",
		}})
	}
	if len(fresh) == 0 && len(kept) == len(v.instances) {
		return nil
	}
	had, hadLast := v.instances, p.last
	v.instances, p.last = append(kept, fresh...), last
	if err := p.save(); err != nil {
		v.instances, p.last = had, hadLast
		return err
	}
	for _, i := range had {
		if !slices.Contains(kept, i) && i.cancel != nil {
			i.cancel()
		}
	}
	if v.cancel != nil { // else begin does it
		for _, i := range fresh {
			p.watchOver(v, i)
		}
	}
	p.wake()
	return nil
}

// begin starts what works for a version. The caller holds p.mu, or is alone.
func (p *Platform) begin(v *version) {
	ctx, cancel := context.WithCancel(p.ctx)
	v.cancel = cancel
	for _, i := range v.instances {
		p.watchOver(v, i)
	}
	if name, port, dns := v.config.External.DNS(); dns {
		p.group.Go(func() { p.resolve(ctx, v, name, port) })
	}
}

// Remove implements abt2.Platform: it ends the checking. The processes behind
// the addresses notice nothing.
func (p *Platform) Remove(ctx context.Context, id abt2.VersionID) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.versions[id]
	if v == nil {
		return nil
	}
	delete(p.versions, id)
	if err := p.save(); err != nil {
		p.versions[id] = v
		return err
	}
	v.cancel()
	for _, i := range v.instances {
		i.cancel()
	}
	p.wake()
	return nil
}

// Instances implements abt2.Platform.
func (p *Platform) Instances(ctx context.Context) ([]abt2.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []abt2.Instance
	for v := range maps.Values(p.versions) {
		for _, i := range v.instances {
			out = append(out, i.Instance)
		}
	}
	slices.SortFunc(out, func(a, b abt2.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Watch implements abt2.Platform.
func (p *Platform) Watch(ctx context.Context, changed chan<- struct{}) error {
	for {
		p.mu.Lock()
		next := p.changed
		p.mu.Unlock()
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wake tells watchers of a change. The caller holds p.mu.
func (p *Platform) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}
