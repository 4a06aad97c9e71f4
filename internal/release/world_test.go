package release_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"abt2.dev"
)

// edge is a gateway that can be cut off.
type edge struct {
	mu     sync.Mutex
	routes abt2.EdgeRoutes
	down   bool
	unable bool          // it can do nothing with visitors
	passes int           // applies that go through before the rest waits
	held   chan struct{} // closed when nothing waits any more; nil: nothing is held
}

// hold lets n more applies through and makes the rest wait; negative ends that.
func (e *edge) hold(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n >= 0 {
		e.passes, e.held = n, make(chan struct{})
	} else {
		close(e.held)
		e.held = nil
	}
}

// pass blocks while applies are held.
func (e *edge) pass(ctx context.Context) error {
	e.mu.Lock()
	held := e.held
	if held != nil && e.passes > 0 {
		e.passes--
		held = nil
	}
	e.mu.Unlock()
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *edge) cut(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

// drift makes another environment online, as a hand at the gateway would.
func (e *edge) drift(to abt2.EnvironmentID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.routes.Table.Products = slices.Clone(e.routes.Table.Products)
	e.routes.Table.Products[0].Online = to
}

func (e *edge) Apply(ctx context.Context, r abt2.EdgeRoutes) error {
	if err := e.pass(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return abt2.Errorf(abt2.CodeUnavailable, "cut off")
	}
	e.routes = r
	return nil
}

// Abilities implements abt2.Abler.
func (e *edge) Abilities() []abt2.Ability {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unable {
		return nil
	}
	return abt2.Abilities[:]
}

func (e *edge) Read(context.Context) (abt2.EdgeRoutes, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return abt2.EdgeRoutes{}, abt2.Errorf(abt2.CodeUnavailable, "cut off")
	}
	return e.routes, nil
}

// describe tells what users are served.
func (e *edge) describe() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var b strings.Builder
	for _, p := range e.routes.Table.Products {
		fmt.Fprintf(&b, "%s: online %d, preview %d, backup %d, ", p.Name, p.Online, p.Preview, p.Backup)
		if len(p.Parked) > 0 {
			fmt.Fprintf(&b, "parked %v, ", p.Parked)
		}
		fmt.Fprintf(&b, "%d tokens\n", len(e.routes.Tokens))
		if s, ok := e.routes.Shares[p.Name]; ok {
			fmt.Fprintf(&b, "  %s of the visitors in %d, chosen by session %s\n", s.Share, s.Environment, s.Salt)
		}
		if s, ok := e.routes.Skew[p.Name]; ok {
			fmt.Fprintf(&b, "  pages kept for %s by a key of %d bytes, which prints as %v\n", s.Keep, len(s.Key), s)
		}
	}
	for _, v := range e.routes.Table.Versions {
		fmt.Fprintf(&b, "  %s × %d\n", v.ID, len(v.Instances))
	}
	return b.String()
}

// registry reads the names where the built-in edge holds them.
type registry struct{ edge *edge }

func (r registry) Apply(context.Context, abt2.Names) error { return nil }

func (r registry) Read(ctx context.Context) (abt2.Names, error) {
	got, err := r.edge.Read(ctx)
	return abt2.Names{Mark: got.Table.Mark, Names: got.Table.Names}, err
}

// routers is a feed with one process that confirms at once.
type routers struct {
	mu   sync.Mutex
	hung bool // confirms nothing any more
	gone bool // its stream has broken

	forgotten bool
	mark      abt2.Mark
	joined    []*joiner
	carried   map[abt2.EnvironmentID]int
	changed   chan struct{}
}

// joiner is a process that joins later, with the table it kept on disk.
type joiner struct {
	status abt2.RouterStatus
	hung   bool // confirms nothing any more
}

func (r *routers) Publish(t abt2.Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hung && !r.gone {
		r.mark = t.Mark
	}
	for _, j := range r.joined {
		if !j.hung {
			j.status.Applied = t.Mark
		}
	}
	r.wake()
}

// join adds a process that serves from an old table until the next Publish, or
// for good where it is hung.
func (r *routers) join(id string, stamper, hung bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := abt2.Mark{Epoch: r.mark.Epoch, Revision: 1}
	r.joined = append(r.joined, &joiner{abt2.RouterStatus{ID: id, Role: "process", Connected: true, Stamper: stamper, Applied: old}, hung})
	r.wake()
}

// CloseStreams closes nothing: what is carried are requests like any other.
func (r *routers) CloseStreams(abt2.EnvironmentID, bool) {}

// trouble makes the process hang, or its stream break, or neither.
func (r *routers) trouble(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hung, r.gone = kind == "hangs", kind == "gone"
	r.wake()
}

func (r *routers) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *routers) carry(env abt2.EnvironmentID, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carried = map[abt2.EnvironmentID]int{env: n}
	r.wake()
}

// leave says goodbye.
func (r *routers) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = slices.DeleteFunc(r.joined, func(j *joiner) bool { return j.status.ID == id })
	r.wake()
}

func (r *routers) Statuses() []abt2.RouterStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgotten {
		return nil
	}
	all := []abt2.RouterStatus{{ID: "relay-1", Role: "relay", Connected: !r.gone, Applied: r.mark}}
	for _, j := range r.joined {
		all = append(all, j.status)
	}
	return all
}

func (r *routers) WaitDrained(ctx context.Context, env abt2.EnvironmentID) error {
	for {
		r.mu.Lock()
		n, changed := r.carried[env], r.changed
		r.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return abt2.Errorf(abt2.CodeUnconfirmed, "environment %d is still carried by relay-1 (%d)", env, n)
		}
	}
}

func (r *routers) Restore([]abt2.Router) {}

func (r *routers) Forget(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten = true
	r.wake()
}

func (r *routers) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// builds keeps artifacts in memory.
type builds struct {
	mu   sync.Mutex
	held map[string][]byte
}

func (b *builds) Has(digest string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.held[digest]
	return ok
}

// artifactOf describes a made-up build.
func artifactOf(name, content string) abt2.Artifact {
	sum := sha256.Sum256([]byte(content))
	return abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: name, Format: abt2.FormatExecutable}
}

func (b *builds) hold(a abt2.Artifact, content string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[a.Digest] = []byte(content)
}

func (b *builds) Put(_ context.Context, a abt2.Artifact, body io.Reader) error {
	content, err := io.ReadAll(body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[a.Digest] = content
	return err
}

func (b *builds) Unpacked(_ context.Context, a abt2.Artifact) (string, error) {
	if !b.Has(a.Digest) {
		return "", abt2.Errorf(abt2.CodeNotFound, "artifact %.12s is gone", a.Digest)
	}
	return "/artifacts/" + a.Digest, nil
}

func (b *builds) ModuleYAML(context.Context, abt2.Artifact) ([]byte, error) { return nil, nil }

func (b *builds) Remove(_ context.Context, keep map[string]bool) (removed int, freed int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d, content := range b.held {
		if !keep[d] {
			delete(b.held, d)
			removed, freed = removed+1, freed+int64(len(content))
		}
	}
	return removed, freed, nil
}

// decodeModule reads "field=value field=value".
func decodeModule(b []byte, source string) (abt2.ConfigPatch, error) {
	var p abt2.ConfigPatch
	for _, f := range strings.Fields(string(b)) {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "kind":
			kind := abt2.Kind(v)
			p.Kind = &kind
		case "prefix":
			p.Prefix = &v
		case "health":
			p.Health = &v
		case "ready":
			d := abt2.Duration(0)
			if err := d.UnmarshalText([]byte(v)); err != nil {
				return p, err
			}
			p.ReadyTimeout = &d
		case "preview":
			mode := abt2.PreviewMode(v)
			p.Preview = &mode
		case "external":
			p.External = abt2.External(strings.FieldsFunc(v, func(r rune) bool { return r == ',' }))
			if p.External == nil {
				p.External = abt2.External{}
			}
		case "navi":
			namespace, name, _ := strings.Cut(v, "/")
			p.Navi = &abt2.ServiceName{Namespace: namespace, Interface: name}
		case "compat":
			owner := abt2.ProductName(v)
			p.Compat = &owner
		case "instances":
			n := 0
			if _, err := fmt.Sscan(v, &n); err != nil {
				return p, err
			}
			p.Instances = &n
		default:
			return p, abt2.Errorf(abt2.CodeInvalid, "%s: field %q: is unknown", source, k)
		}
	}
	return p, nil
}

// faults are those of a server that lives on, with an edge that knows no upgrade.
type faults struct{}

func (faults) KillServer(context.Context, time.Duration) error { return nil }

func (faults) UpgradeEdge(_ context.Context, edge string) error {
	return abt2.Errorf(abt2.CodeRefused, "edge %s does not know how", edge)
}
