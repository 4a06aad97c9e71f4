package release_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/fake"
)

// gateway is an edge that writes down what users would have suffered from.
type gateway struct {
	mu     sync.Mutex
	routes abt2.EdgeRoutes
	had    map[abt2.VersionID]bool // versions that have been served by an instance
	faults []string
	cut    bool // nothing reaches it any more
	last   int  // applies that still reach it before it is cut off; 0: it is not going to be
}

// cutOff makes the gateway unreachable, after so many more applies, or reachable again.
func (g *gateway) cutOff(cut bool, after int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut, g.last = cut && after == 0, after
}

var errCut = abt2.Errorf(abt2.CodeUnavailable, "cut off")

// Apply implements abt2.Edge.
func (g *gateway) Apply(_ context.Context, r abt2.EdgeRoutes) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut {
		return errCut
	}
	if g.last > 0 {
		g.last--
		g.cut = g.last == 0
	}
	if r.Table.Mark.Revision < g.routes.Table.Mark.Revision {
		return abt2.Errorf(abt2.CodeRefused, "routes of revision %d are older than %d", r.Table.Mark.Revision, g.routes.Table.Mark.Revision)
	}
	g.routes = r
	environments := map[abt2.EnvironmentID]abt2.TableEnvironment{}
	for _, e := range r.Table.Environments {
		environments[e.ID] = e
	}
	versions := map[abt2.VersionID]abt2.TableVersion{}
	for _, v := range r.Table.Versions {
		versions[v.ID] = v
	}
	for _, p := range r.Table.Products {
		online, known := environments[p.Online]
		if !known {
			g.blame("revision %d: online environment %d is not in the table", r.Table.Mark.Revision, p.Online)
		}
		for _, id := range online.Modules {
			v, known := versions[id]
			switch {
			case !known:
				g.blame("revision %d: online environment %d lacks %s", r.Table.Mark.Revision, p.Online, id)
			case len(v.Instances) > 0:
				g.had[id] = true
			case g.had[id]:
				g.blame("revision %d: %s is online and has lost its last instance", r.Table.Mark.Revision, id)
			}
		}
		if s, ok := r.Shares[p.Name]; ok {
			e := environments[s.Environment]
			if e.ID == 0 || e.ID == p.Online || !e.WasOnline {
				g.blame("revision %d: %s of the visitors go to environment %d, of which the table has %+v", r.Table.Mark.Revision, s.Share, s.Environment, e)
			}
			for _, id := range e.Modules {
				if versions[id].Kind != abt2.KindJob && len(versions[id].Instances) == 0 {
					g.blame("revision %d: %s has no instance, and visitors are served from it", r.Table.Mark.Revision, id)
				}
			}
		}
		for _, id := range r.Tokens {
			if _, known := environments[id]; !known || id == p.Online {
				g.blame("revision %d: a token selects environment %d, online is %d", r.Table.Mark.Revision, id, p.Online)
			}
		}
	}
	return nil
}

// Abilities implements abt2.Abler.
func (g *gateway) Abilities() []abt2.Ability { return abt2.Abilities[:] }

// Read implements abt2.Edge.
func (g *gateway) Read(context.Context) (abt2.EdgeRoutes, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut {
		return abt2.EdgeRoutes{}, errCut
	}
	return g.routes, nil
}

func (g *gateway) blame(format string, args ...any) {
	g.faults = append(g.faults, fmt.Sprintf(format, args...))
}

func (g *gateway) broken() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.faults
}

// sendsTo reports whether requests may be on their way to the version.
func (g *gateway) sendsTo(v abt2.VersionID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, tv := range g.routes.Table.Versions {
		if tv.ID == v && len(tv.Instances) > 0 {
			return true
		}
	}
	return false
}

// checkInstances: the instances that the edge sends to are those that are
// healthy, no more and no less.
func (g *gateway) checkInstances(t *testing.T, p *fake.Platform) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	all, err := p.Instances(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var run, sent []string
	for _, i := range all {
		if i.Address != "" && i.State == abt2.InstanceHealthy {
			run = append(run, string(i.ID))
		}
	}
	for _, v := range g.routes.Table.Versions {
		for _, i := range v.Instances {
			sent = append(sent, string(i.ID))
		}
	}
	slices.Sort(run)
	slices.Sort(sent)
	if !slices.Equal(run, sent) {
		t.Errorf("the edge sends to %v, healthy are %v", sent, run)
	}
}

// checkTokens: a session's token selects its preview, or its backup once
// committed, and no other token selects anything.
func (g *gateway) checkTokens(t *testing.T, s *abt2.State) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	want := map[abt2.TokenDigest]abt2.EnvironmentID{}
	for _, sess := range s.Sessions {
		id := sess.Preview
		if sess.State == abt2.SessionCommitted {
			id = s.Products[abt2.DefaultProduct].Backup
		}
		if id != 0 {
			want[sess.Token.Digest()] = id
		}
	}
	if fmt.Sprint(g.routes.Tokens) != fmt.Sprint(want) {
		t.Errorf("tokens select %v, want %v", g.routes.Tokens, want)
	}
	shares := map[abt2.ProductName]abt2.VisitorShare{}
	if sess := s.Session(abt2.DefaultProduct); sess != nil && sess.Share != 0 {
		shares[abt2.DefaultProduct] = abt2.VisitorShare{Environment: sess.Preview, Share: sess.Share, Salt: sess.ID.String()}
	}
	if fmt.Sprint(g.routes.Shares) != fmt.Sprint(shares) {
		t.Errorf("shares are %v, want %v", g.routes.Shares, shares)
	}
}

// watchedPlatform writes down where more runs than should, and what ends while
// requests may be on their way to it.
type watchedPlatform struct {
	*fake.Platform
	gateway *gateway

	mu     sync.Mutex
	faults []string
	ending time.Duration                // how long a version takes to end
	ends   map[abt2.VersionID]time.Time // when the version will have ended
	silent chan struct{}                // nil, or Instances does not answer until it is closed
}

// Instances implements abt2.Platform.
func (p *watchedPlatform) Instances(ctx context.Context) ([]abt2.Instance, error) {
	p.mu.Lock()
	silent := p.silent
	p.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return p.Platform.Instances(ctx)
}

// hush makes Instances answer only once the returned function is called.
func (p *watchedPlatform) hush() (speak func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := make(chan struct{})
	p.silent = silent
	return func() { close(silent) }
}

// Apply implements abt2.Platform.
func (p *watchedPlatform) Apply(ctx context.Context, w abt2.Workload) error {
	p.mu.Lock()
	delete(p.ends, w.Version.ID)
	p.mu.Unlock()
	err := p.Platform.Apply(ctx, w)
	all, _ := p.Platform.Instances(context.Background())
	n := 0
	for _, i := range all {
		switch other := i.Version; {
		case other == w.Version.ID:
			n++
		case other.Module == w.Version.ID.Module && w.Version.Config.Kind == abt2.KindJob:
			p.blame("job %s starts while %s still acts", w.Version.ID, other)
		}
	}
	if n > w.Scale {
		p.blame("%d instances of %s run, its scale is %d", n, w.Version.ID, w.Scale)
	}
	return err
}

// Remove implements abt2.Platform.
func (p *watchedPlatform) Remove(ctx context.Context, v abt2.VersionID) error {
	if p.gateway.sendsTo(v) {
		p.blame("%s ends while the edge sends requests to it", v)
	}
	if err := p.awaitEnd(ctx, v); err != nil {
		return err
	}
	return p.Platform.Remove(ctx, v)
}

// awaitEnd returns when the version, told to end now or before, has had its time.
func (p *watchedPlatform) awaitEnd(ctx context.Context, v abt2.VersionID) error {
	p.mu.Lock()
	at, told := p.ends[v]
	if !told {
		at = time.Now().Add(p.ending)
		p.ends[v] = at
	}
	p.mu.Unlock()
	end := time.NewTimer(time.Until(at))
	defer end.Stop()
	select {
	case <-end.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takesToEnd sets how long versions take to end from now on.
func (p *watchedPlatform) takesToEnd(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = d
}

func (p *watchedPlatform) blame(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

func (p *watchedPlatform) broken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}
