package abt2

import "slices"

// Given is the highest numbers that an installation has given out. A number
// names one thing for ever: what was started under it may still be running.
type Given struct {
	Environment EnvironmentID
	Session     SessionID
	Versions    map[ModuleName]uint64
}

// Given returns the highest numbers of the state.
func (s *State) Given() Given {
	g := Given{Environment: s.LastEnvironment, Session: s.LastSession, Versions: map[ModuleName]uint64{}}
	for name, m := range s.Modules {
		g.Versions[name] = m.Versions
	}
	return g
}

// Restored makes the state of a backup that of an installation again: numbers
// go on behind all that were given since the backup, and history tells of it.
// A module that the backup does not know keeps its numbers, and is otherwise
// as if it had never been.
func (s *State) Restored(a Actor, since Given, text string) {
	s.LastEnvironment = max(s.LastEnvironment, since.Environment)
	s.LastSession = max(s.LastSession, since.Session)
	for name, n := range since.Versions {
		m := s.Modules[name]
		if m == nil {
			m = &Module{Name: name, Scale: 1}
			s.Modules[name] = m
		}
		m.Versions = max(m.Versions, n)
	}
	for _, p := range s.Products {
		s.record(a, p, "restore", p.Online, p.Online, text)
	}
}

// TakeLeave makes the environments that users are served from in old, an
// earlier state of the same installation, retire in s: requests on their way
// through them end where they began, and then what only they need is stopped.
func (s *State) TakeLeave(old *State) {
	for name, p := range s.Products {
		was := old.Products[name]
		if was == nil || was.Online == p.Online {
			continue
		}
		e := old.Online(was)
		s.Environments[e.ID] = e
		for _, v := range e.Modules {
			s.Versions[v] = old.Versions[v]
			if s.Modules[v.Module] == nil {
				m := *old.Modules[v.Module]
				m.Released, m.Owner = VersionID{}, ""
				s.Modules[v.Module] = &m
			}
		}
		s.retire(p, e.ID)
		if i := slices.Index(s.Releases, p.Online); i >= 0 && !slices.Contains(s.Releases, e.ID) {
			s.Releases = slices.Insert(s.Releases, i, e.ID) // it has been online, and no longer is
		}
	}
}
