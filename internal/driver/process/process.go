// Package process is the platform of one machine: it runs every instance as a
// process that a shim of its own keeps. Shims outlive the server; a new server
// finds them again by their sockets.
//
// The platform's folder:
//
//	platform.json          what must never be given out twice
//	instances/ID/          one folder for each instance that runs or is to run
//	  spec.json            what its shim does; the decision to end it is written here first
//	  state/ work/ logs/   ABT2_STATE, the working directory of a single-file artifact, output
//	run/SEQ.sock           where its shim listens; short, because such paths are limited
//	ended/ID/logs/         what the last instances that ended had printed
//
// Everything is written before the side effect that it announces. Whether a
// shim lives is told by the lock it holds on its folder, never by a process id.
package process

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"abt2.dev"
)

// Config is what a platform needs to know. Dir and Shim are required.
type Config struct {
	// Dir is the platform's folder, made where it is absent. The caller makes
	// sure that only one platform in one process uses it.
	Dir string
	// Shim is the command that starts a shim, like ["/usr/bin/abt2", "shim"];
	// --dir=DIR is appended.
	Shim []string
	// Host is the address that instances listen on. Default: 127.0.0.1.
	Host string
	// PortMin and PortMax bound the ports given out. Default: 20000 to 29999.
	PortMin, PortMax int
	// Credential returns what an instance shows to the server. It is asked
	// whenever a shim is started, more than once for the same instance. Nil: none.
	Credential func(abt2.InstanceID) string
	// Log is where the platform reports what no answer says. Nil: nowhere.
	Log *slog.Logger
}

// The defaults of a Config, outside the range that systems give out by themselves.
const (
	DefaultHost    = "127.0.0.1"
	DefaultPortMin = 20000
	DefaultPortMax = 29999
)

// Platform implements abt2.Platform and abt2.LogReader. It has no goroutines
// but those of calls: dropping it affects no instance.
type Platform struct {
	cfg      Config
	log      *slog.Logger
	versions keyed // serializes changes of one version

	mu        sync.Mutex
	ledger    ledger
	instances map[abt2.InstanceID]*instance
	children  map[int]bool  // shims started here and not yet reaped
	changed   chan struct{} // closed when an instance comes, goes, or is started again
}

var (
	_ abt2.Platform  = (*Platform)(nil)
	_ abt2.LogReader = (*Platform)(nil)
)

// New opens the platform's folder and finds its instances again. It starts and
// ends nothing.
func New(cfg Config) (*Platform, error) {
	if cfg.Host == "" {
		cfg.Host = DefaultHost
	}
	if cfg.PortMin == 0 && cfg.PortMax == 0 {
		cfg.PortMin, cfg.PortMax = DefaultPortMin, DefaultPortMax
	}
	switch addr, err := netip.ParseAddr(cfg.Host); {
	case err != nil || addr.IsUnspecified() || addr.IsMulticast():
		return nil, abt2.Errorf(abt2.CodeInvalid, "host %q: must be one IP address of this machine, like %s", cfg.Host, DefaultHost)
	case cfg.PortMin < 1 || cfg.PortMax > 65535 || cfg.PortMin > cfg.PortMax:
		return nil, abt2.Errorf(abt2.CodeInvalid, "ports %d to %d: must be a range within 1 to 65535", cfg.PortMin, cfg.PortMax)
	case len(cfg.Shim) == 0:
		return nil, abt2.Errorf(abt2.CodeInvalid, "shim: the command is empty")
	}
	p, err := open(cfg)
	if err != nil {
		return nil, err
	}
	if lo, hi, ok := ephemeralPorts(); ok && cfg.PortMin <= hi && lo <= cfg.PortMax {
		p.log.Warn("instance ports overlap those that the system gives to outgoing connections: an instance may find its port taken",
			"ports", [2]int{cfg.PortMin, cfg.PortMax}, "ephemeral", [2]int{lo, hi})
	}
	if !slices.Equal(p.ledger.Shim, cfg.Shim) {
		p.ledger.Shim = cfg.Shim
		if err := p.ledger.save(p.cfg.Dir); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// open reads what is in the folder.
func open(cfg Config) (*Platform, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil || cfg.Dir == "" {
		return nil, abt2.Errorf(abt2.CodeInvalid, "data folder %q: must name a folder", cfg.Dir)
	}
	cfg.Dir = dir
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Platform{
		cfg: cfg, log: cfg.Log,
		instances: map[abt2.InstanceID]*instance{}, children: map[int]bool{}, changed: make(chan struct{}),
	}
	// Unix sockets have short names: sun_path holds 104 bytes on macOS, 108 on Linux.
	const limit = 100
	if longest := p.socket(1<<32 - 1); len(longest) >= limit {
		return nil, abt2.Errorf(abt2.CodeInvalid, "data folder %q: is too long by %d characters for the sockets in it; choose a shorter one with --data", dir, len(longest)-limit+1)
	}
	for _, d := range []string{instancesDir, runDir, endedDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, abt2.Wrap(abt2.CodeFailed, err, "data folder %q: cannot be prepared", dir)
		}
	}
	if p.ledger, err = readLedger(dir); err != nil {
		return nil, err
	}
	return p, p.load()
}

const (
	instancesDir = "instances"
	runDir       = "run"
	endedDir     = "ended"
)

func (p *Platform) socket(seq uint64) string {
	return filepath.Join(p.cfg.Dir, runDir, strconv.FormatUint(seq, 10)+".sock")
}

// load finds the instances in the folder, and finishes putting ended ones away.
func (p *Platform) load() error {
	entries, err := os.ReadDir(filepath.Join(p.cfg.Dir, instancesDir))
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the instances cannot be listed")
	}
	var work []func() error
	for _, e := range entries {
		id := abt2.InstanceID(e.Name())
		v, seq, ok := parseID(id)
		if !ok {
			p.log.Warn("this is not an instance's folder", "name", e.Name())
			continue
		}
		p.ledger.LastInstance = max(p.ledger.LastInstance, seq)
		work = append(work, func() error {
			i, err := p.find(id, v, seq)
			if err == nil && i != nil {
				p.mu.Lock()
				p.instances[id] = i
				p.mu.Unlock()
			}
			return err
		})
	}
	if err := each(work); err != nil {
		return err
	}
	return p.tidy()
}

// of returns a version's instances, the oldest first.
func (p *Platform) of(v abt2.VersionID) []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*instance
	for _, i := range p.instances {
		if i.version == v {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *instance) int { return int(a.seq) - int(b.seq) })
	return out
}

// all returns every instance, sorted by id.
func (p *Platform) all() []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*instance
	for _, id := range slices.Sorted(maps.Keys(p.instances)) {
		out = append(out, p.instances[id])
	}
	return out
}

// notify tells watchers that the set of instances, or a shim, is another.
func (p *Platform) notify() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

// cause turns an error that came of ctx's end into ctx's cause.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
