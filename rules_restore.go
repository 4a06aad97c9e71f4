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
			m = &Module{Name: name, Scale: 1, Deleted: true}
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
		if was == nil {
			continue
		}
		if sess := old.Session(name); sess != nil && sess.Share != 0 && s.Role(sess.Preview) == RoleRetired {
			s.takeLeaveOf(p, old, sess.Preview)
		}
		if was.Online == p.Online {
			continue
		}
		s.takeLeaveOf(p, old, was.Online)
		if i := slices.Index(s.Releases, p.Online); i >= 0 && !slices.Contains(s.Releases, was.Online) {
			s.Releases = slices.Insert(s.Releases, i, was.Online) // it has been online, and no longer is
		}
	}
}

// takeLeaveOf makes an environment of an earlier state retire.
func (s *State) takeLeaveOf(p *Product, old *State, id EnvironmentID) {
	e := old.Environments[id]
	s.Environments[id] = e
	for _, v := range e.Modules {
		s.Versions[v] = old.Versions[v]
		if s.Modules[v.Module] == nil {
			m := *old.Modules[v.Module]
			m.Released, m.Owner = VersionID{}, ""
			s.Modules[v.Module] = &m
		}
	}
	s.retire(p, id)
}
