package release

import (
	"context"
	"fmt"
	"slices"
	"time"

	"abt2.dev"
)

// Validate implements abt2.Service.
func (e *Engine) Validate(ctx context.Context, q abt2.ValidateRequest) ([]abt2.Difference, error) {
	if err := e.checkReady(); err != nil {
		return nil, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Product(q.Product); err != nil {
		return nil, err
	}
	if err := e.observe(ctx); err != nil {
		return nil, err
	}
	if _, err := e.publish(ctx); err != nil {
		return nil, err
	}
	all := !(q.Platform || q.Edge || q.ConfigCentre || q.Registry || q.Routers)
	out := []abt2.Difference{}
	if all || q.Platform {
		out = append(out, e.platformDifferences(s)...)
	}
	if all || q.Edge {
		out = append(out, e.edgeDifferences(ctx)...)
	}
	if all || q.ConfigCentre {
		out = append(out, e.centreDifferences(ctx)...)
	}
	if all || q.Registry {
		out = append(out, e.registryDifferences(ctx, s)...)
	}
	if all || q.Routers {
		out = append(out, e.routerDifferences(ctx)...)
	}
	return out, nil
}

// strayShould marks the difference that refresh leaves alone, unless it is told to
// prune and it is the platform's.
const strayShould = "nothing"

// platformDifferences compares what should run with what does.
func (e *Engine) platformDifferences(s *abt2.State) []abt2.Difference {
	const remedy = "abt2 refresh"
	var out []abt2.Difference
	running, want := e.running(true), e.wanted(s)
	for _, v := range sortedVersions(want) {
		ver := s.Versions[v]
		n := healthy(running, v)
		if stands(running, ver, want[v]) && (n == want[v] || ver.External()) {
			continue
		}
		is := fmt.Sprintf("%d healthy", n)
		if why := e.complaint(ver); why != "" {
			is += " (" + why + ")"
		}
		d := abt2.Difference{Part: "platform", Object: v.String(), Should: fmt.Sprintf("%d healthy", want[v]), Is: is, Remedy: remedy}
		if ver.External() {
			d.Should, d.Remedy = "every address healthy", "start it where it runs: abt2 routes to it again by itself"
		}
		out = append(out, d)
	}
	for _, v := range sortedVersions(namedVersions(s)) {
		for _, i := range s.Stopped(v) {
			out = append(out, abt2.Difference{
				Part: "platform", Object: string(i.ID), Should: "running, as one of " + v.String(), Is: stoppedText(i), Remedy: "none needed; again: abt2 instance start " + string(i.ID), Meant: true,
			})
		}
	}
	for _, i := range running {
		switch {
		case want[i.Version] > 0:
		case s.Versions[i.Version] == nil:
			out = append(out, abt2.Difference{Part: "platform", Object: string(i.ID), Should: strayShould, Is: fmt.Sprintf("%s of %s at %s, which abt2 does not know", i.State, i.Version, i.Address), Remedy: "end it yourself, or abt2 refresh --prune"})
		default:
			out = append(out, abt2.Difference{Part: "platform", Object: string(i.ID), Should: "ended", Is: fmt.Sprintf("%s of %s", i.State, i.Version), Remedy: remedy})
		}
	}
	return out
}

// readLimit bounds how long a validation waits for one outside system.
const readLimit = 5 * time.Second

// edgeDifferences asks each gateway what it serves.
func (e *Engine) edgeDifferences(ctx context.Context) []abt2.Difference {
	var out []abt2.Difference
	want := e.desired()
	for _, t := range e.Edges {
		add := func(should, is string) {
			out = append(out, abt2.Difference{Part: "edge", Object: t.ID, Should: should, Is: is, Remedy: "abt2 refresh"})
		}
		read, cancel := context.WithTimeout(ctx, readLimit)
		// What was published a moment ago may still be on its way.
		for _, s := range e.syncers {
			if s.name == "edge "+t.ID {
				_ = e.await(read, func() bool { ok, _ := s.confirmed(want.Table.Mark); return ok })
			}
		}
		got, err := t.Edge.Read(read)
		cancel()
		switch {
		case err != nil:
			add("answers", err.Error())
		case digest(got) != digest(want) && got.Table.Mark == want.Table.Mark:
			add(fmt.Sprintf("revision %d", want.Table.Mark.Revision), "the same revision with other content")
		case got.Table.Mark != want.Table.Mark:
			add(fmt.Sprintf("revision %d", want.Table.Mark.Revision), fmt.Sprintf("revision %d", got.Table.Mark.Revision))
		}
	}
	return out
}

// registryDifferences asks the registry which names stand there.
func (e *Engine) registryDifferences(ctx context.Context, s *abt2.State) []abt2.Difference {
	var out []abt2.Difference
	read, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	got, err := e.Registry.Read(read)
	if err != nil {
		return []abt2.Difference{{Part: "registry", Object: "registry", Should: "answers", Is: err.Error(), Remedy: "abt2 refresh"}}
	}
	if lister, ok := e.Registry.(abt2.Lister); ok {
		out = e.listed(read, lister, s, got)
	}
	want := desiredNames(s)
	for _, n := range want {
		if !slices.Contains(got.Names, n) {
			out = append(out, abt2.Difference{Part: "registry", Object: string(n.Module), Should: "reached at " + n.Address, Is: "not there", Remedy: "free the address, then abt2 refresh"})
		}
	}
	for _, n := range got.Names {
		if !slices.Contains(want, n) {
			out = append(out, abt2.Difference{Part: "registry", Object: string(n.Module), Should: "absent", Is: "reached at " + n.Address, Remedy: "abt2 refresh"})
		}
	}
	return out
}

// routerDifferences names routers that lag behind, or have seen releases mixed.
func (e *Engine) routerDifferences(ctx context.Context) []abt2.Difference {
	var out []abt2.Difference
	want := e.desired().Table.Mark
	read, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	// After a server's start processes need a moment to join again.
	_ = e.await(read, func() bool { return len(e.laggards(want, anyRouter)) == 0 })
	ended := e.endedProcesses()
	for _, r := range e.Routers.Statuses() {
		add := func(should, is, remedy string) {
			out = append(out, abt2.Difference{Part: "routers", Object: r.ID, Should: should, Is: is, Remedy: remedy})
		}
		switch {
		case r.Role == roleEdge: // validate --edge asks it itself
		case !r.Connected && !ended[r.ID]:
			add("connected", "not connected", "look at the process: abt2 logs "+r.Version.String()+"; gone for good: abt2 router forget "+r.ID)
		case r.Connected && !r.Applied.Covers(want):
			add(fmt.Sprintf("revision %d", want.Revision), fmt.Sprintf("revision %d", r.Applied.Revision), "look at the process: abt2 logs "+r.Version.String())
		}
		if r.Mixed > 0 {
			add("0 mixed requests", fmt.Sprintf("%d mixed", r.Mixed), "a caller ignores the stamp: see docs/sdk.md")
		}
		if r.Restamped > 0 {
			add("0 calls without their request's stamp", fmt.Sprintf("%d", r.Restamped), "pass the request's context to outgoing calls: see docs/sdk.md")
		}
	}
	return out
}

// Forget implements abt2.Service.
func (e *Engine) Forget(ctx context.Context, q abt2.ForgetRequest) error {
	if err := e.checkReady(); err != nil {
		return err
	}
	for _, r := range e.Routers.Statuses() {
		switch {
		case r.ID != q.Router:
			continue
		case r.Connected:
			return abt2.Errorf(abt2.CodeRefused, "router %s is connected and would be known again at once; it is forgotten by itself when it ends", r.ID)
		case q.DryRun:
			return nil
		}
		e.Routers.Forget(r.ID)
		e.Log.Info("router forgotten", "router", r.ID, "operator", q.Operator)
		return nil
	}
	return abt2.Errorf(abt2.CodeNotFound, "router %q: is not known; those that are: abt2 router list", q.Router)
}
