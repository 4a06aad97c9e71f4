package abt2

import (
	"cmp"
	"maps"
	"slices"
)

// What is kept of the past: the environments made last, those that were released
// last, and what is in use, however old. Nothing else is ever asked for by a
// rule; history tells of it.
const (
	KeptReleases     = 10
	KeptEnvironments = 100
	// mostPruned bounds what one Prune forgets, and so its transaction. What is
	// left goes with the next.
	mostPruned = 1000
)

// Prune forgets environments that are long past, and versions that nothing that
// is kept names. Numbers are never given again. running tells of which versions
// something still runs, or may: those stay known.
func (s *State) Prune(running func(VersionID) bool) (environments, versions int) {
	kept := s.keptEnvironments()
	s.Releases = slices.DeleteFunc(slices.Clone(s.Releases), func(id EnvironmentID) bool { return !kept[id] })
	for _, id := range slices.Sorted(maps.Keys(s.Environments)) {
		if !kept[id] && environments < mostPruned {
			delete(s.Environments, id)
			environments++
		}
	}
	named := s.namedVersions()
	for _, v := range slices.SortedFunc(maps.Keys(s.Versions), func(a, b VersionID) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Number, b.Number))
	}) {
		if !named[v] && !running(v) && environments+versions < mostPruned {
			delete(s.Versions, v)
			versions++
		}
	}
	return environments, versions
}

func (s *State) keptEnvironments() map[EnvironmentID]bool {
	kept := map[EnvironmentID]bool{}
	for _, e := range s.Live() {
		kept[e.ID] = true
	}
	for _, sess := range s.Sessions {
		for _, id := range []EnvironmentID{sess.Base, sess.Preview, sess.WasOnline} {
			kept[id] = true
		}
	}
	for _, id := range s.Releases[max(0, len(s.Releases)-KeptReleases):] {
		kept[id] = true
	}
	ids := slices.Sorted(maps.Keys(s.Environments))
	for _, id := range ids[max(0, len(ids)-KeptEnvironments):] {
		kept[id] = true
	}
	return kept
}

// namedVersions are those that something in the state refers to: environments,
// targets, the last release of a module, and of each module the last version and
// the last that abt2 ran itself, from which the next put derives.
func (s *State) namedVersions() map[VersionID]bool {
	named := map[VersionID]bool{}
	for _, e := range s.Environments {
		for _, v := range e.Modules {
			named[v] = true
		}
	}
	for _, sess := range s.Sessions {
		for _, t := range sess.Targets {
			named[t.Put], named[t.Shipped], named[t.Prior] = true, true, true
		}
	}
	for _, m := range s.Modules {
		named[m.Released] = true
		if m.Deleted {
			continue
		}
		named[VersionID{m.Name, m.Versions}] = true
		for n := m.Versions; n > 0; n-- {
			if v := s.Versions[VersionID{m.Name, n}]; v != nil && !v.External() {
				named[v.ID] = true
				break
			}
		}
	}
	return named
}
