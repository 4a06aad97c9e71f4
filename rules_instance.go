package abt2

import (
	"slices"
	"strings"
	"time"
)

// StoppedInstance is an instance that an operator has ended. Its version is to
// have one less until it is started again.
type StoppedInstance struct {
	ID       InstanceID `json:"id"`
	Version  VersionID  `json:"version"`
	Operator string     `json:"operator"`
	Identity string     `json:"identity"`
	Time     time.Time  `json:"time"` // for display
}

// Stopped returns the instances of a version that operators have stopped.
func (s *State) Stopped(v VersionID) []StoppedInstance {
	m := s.Modules[v.Module]
	if m == nil {
		return nil
	}
	var out []StoppedInstance
	for _, i := range m.Stopped {
		if i.Version == v {
			out = append(out, i)
		}
	}
	return out
}

// StopInstances records that these are not to run. Those that are stopped
// already stay as they are.
func (s *State) StopInstances(name ProductName, a Actor, list []Instance) error {
	p, err := s.operate(name, a)
	if err != nil {
		return err
	}
	var ids []string
	for _, i := range list {
		m := s.Modules[i.Version.Module]
		if slices.ContainsFunc(m.Stopped, func(x StoppedInstance) bool { return x.ID == i.ID }) {
			continue
		}
		m.Stopped = append(slices.Clone(m.Stopped), StoppedInstance{ID: i.ID, Version: i.Version, Operator: a.Operator, Identity: a.Identity, Time: a.Now})
		ids = append(ids, string(i.ID))
	}
	if len(ids) > 0 {
		s.record(a, p, string(VerbInstanceStop), p.Online, p.Online, strings.Join(ids, ", "))
	}
	return nil
}

// StartInstances takes back that these were stopped. Those that were not stay as
// they are.
func (s *State) StartInstances(name ProductName, a Actor, list []InstanceID) error {
	p, err := s.operate(name, a)
	if err != nil {
		return err
	}
	var ids []string
	for _, m := range s.Modules {
		m.Stopped = slices.DeleteFunc(slices.Clone(m.Stopped), func(i StoppedInstance) bool {
			asked := slices.Contains(list, i.ID)
			if asked {
				ids = append(ids, string(i.ID))
			}
			return asked
		})
	}
	if len(ids) > 0 {
		slices.Sort(ids)
		s.record(a, p, string(VerbInstanceStart), p.Online, p.Online, strings.Join(ids, ", "))
	}
	return nil
}

// RestartInstances records that these are about to be replaced.
func (s *State) RestartInstances(name ProductName, a Actor, list []InstanceID) error {
	p, err := s.operate(name, a)
	if err != nil {
		return err
	}
	var ids []string
	for _, i := range list {
		ids = append(ids, string(i))
	}
	s.record(a, p, string(VerbInstanceRestart), p.Online, p.Online, strings.Join(ids, ", "))
	return nil
}

// operate returns the product, whose session the actor must own if there is one:
// what runs of a release is not changed behind its operator's back.
func (s *State) operate(name ProductName, a Actor) (*Product, error) {
	p, err := s.Product(name)
	if err != nil {
		return nil, err
	}
	if a.Operator == "" {
		return nil, Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	if sess := s.Session(name); sess != nil {
		if sess.Operator != a.Operator && !a.Takeover {
			return nil, Errorf(CodeOwner, "session %d belongs to %s (%s); ask %s, or add --takeover", sess.ID, sess.Operator, describe(sess), sess.Operator)
		}
		s.takeOver(p, sess, a)
	}
	return p, nil
}

// forgetStopped forgets what was stopped of versions that nothing names any more.
func (s *State) forgetStopped() {
	var used map[VersionID]bool
	for _, m := range s.Modules {
		if len(m.Stopped) == 0 {
			continue
		}
		if used == nil {
			used = s.InUse()
		}
		m.Stopped = slices.DeleteFunc(slices.Clone(m.Stopped), func(i StoppedInstance) bool { return !used[i.Version] })
	}
}
