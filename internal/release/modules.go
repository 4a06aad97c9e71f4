package release

import (
	"cmp"
	"context"
	"slices"

	"abt2.dev"
)

// Modules implements abt2.Service.
func (e *Engine) Modules(ctx context.Context, q abt2.ModulesRequest) ([]abt2.ModuleStatus, error) {
	if err := e.checkReady(); err != nil {
		return nil, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	if q.Module != "" {
		if s.Modules[q.Module] == nil || s.Modules[q.Module].Deleted {
			return nil, abt2.Errorf(abt2.CodeNotFound, "module %q: does not exist; abt2 module list names those that do", q.Module)
		}
		return []abt2.ModuleStatus{e.moduleStatus(s, q.Module, true)}, nil
	}
	out := []abt2.ModuleStatus{}
	for _, name := range sortedModules(s.Modules) {
		if !s.Modules[name].Deleted {
			out = append(out, e.moduleStatus(s, name, false))
		}
	}
	return out, nil
}

// ChangeModule implements abt2.Service.
func (e *Engine) ChangeModule(ctx context.Context, q abt2.ChangeModuleRequest) (abt2.ModuleStatus, error) {
	if err := e.checkReady(); err != nil {
		return abt2.ModuleStatus{}, err
	}
	var out abt2.ModuleStatus
	err := e.change(ctx, q.DryRun, func(s *abt2.State) error {
		if s.Modules[q.Module] != nil { // of a deleted one: what it was
			out = e.moduleStatus(s, q.Module, false)
		}
		if err := s.ChangeModule(actor(ctx, q.By), q); err != nil {
			return err
		}
		if q.Change == abt2.ModuleCreate {
			out = e.moduleStatus(s, q.Module, false)
		}
		return nil
	})
	if err != nil {
		return abt2.ModuleStatus{}, err
	}
	if !q.DryRun {
		_, err = e.publish(ctx) // an unversioned name may have gone
	}
	return out, err
}

// moduleStatus describes a module with its versions in use, or all of them.
func (e *Engine) moduleStatus(s *abt2.State, name abt2.ModuleName, all bool) abt2.ModuleStatus {
	m := s.Modules[name]
	out := abt2.ModuleStatus{Name: name, Scale: m.Scale, Released: m.Released, Owner: m.Owner, Address: m.Address, Versions: []abt2.VersionStatus{}}
	if v := s.Versions[abt2.VersionID{Module: name, Number: m.Versions}]; v != nil {
		out.Kind = v.Config.Kind
	}
	running, want, tags := e.running(true), e.wanted(s), tagsOf(s)
	for _, v := range s.Versions {
		runs := slices.ContainsFunc(running, func(i abt2.Instance) bool { return i.Version == v.ID })
		if v.ID.Module != name || !all && len(tags[v.ID]) == 0 && !runs {
			continue
		}
		out.Versions = append(out.Versions, abt2.VersionStatus{
			ID: v.ID, Digest: v.Digest, Artifact: v.Artifact, External: v.Config.External, Created: v.Created,
			Tags: inOrder(tags[v.ID]), Healthy: healthy(running, v.ID), Want: want[v.ID],
		})
	}
	slices.SortFunc(out.Versions, func(a, b abt2.VersionStatus) int { return cmp.Compare(b.ID.Number, a.ID.Number) })
	return out
}

// tagsOf is what the environments that name a version are to their products.
func tagsOf(s *abt2.State) map[abt2.VersionID][]abt2.Role {
	out := map[abt2.VersionID][]abt2.Role{}
	for _, e := range s.Live() {
		for _, v := range e.Modules {
			out[v] = append(out[v], s.Role(e.ID))
		}
	}
	return out
}
