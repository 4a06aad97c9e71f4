package abt2

import (
	"fmt"
	"maps"
	"slices"
)

// ChangeModule creates a module that has no build yet, so that its first put is
// no typing error, or deletes one that nothing uses. What has been done already
// succeeds.
func (s *State) ChangeModule(a Actor, q ChangeModuleRequest) error {
	p, err := s.Product(q.Product)
	if err != nil {
		return err
	}
	if a.Operator == "" {
		return Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	if err := q.Module.Validate(); err != nil {
		return err
	}
	switch q.Change {
	case ModuleCreate:
		return s.createModule(a, p, q)
	case ModuleDelete:
		return s.deleteModule(a, p, q.Module)
	}
	return Errorf(CodeInvalid, "change %q: must be create or delete", q.Change)
}

func (s *State) createModule(a Actor, p *Product, q ChangeModuleRequest) error {
	if q.Scale < 0 || q.Scale > MaxScale {
		return Errorf(CodeInvalid, "%s: instances \"%d\": must be 1 to %d", q.Module, q.Scale, MaxScale)
	}
	if err := s.checkNewModule(q.Module); err != nil {
		return err
	}
	m := s.Modules[q.Module]
	switch {
	case m == nil:
		m = &Module{Name: q.Module}
		s.Modules[q.Module] = m
	case m.Created && (q.Scale == 0 || q.Scale == m.Scale):
		return nil
	case !m.Deleted:
		return Errorf(CodeRefused, "module %s: is there already; look: abt2 module show %s; change how many run: abt2 scale %s=N", m.Name, m.Name, m.Name)
	}
	m.Created, m.Deleted = true, false
	text := string(m.Name)
	if q.Scale > 0 {
		m.Scale = q.Scale
		text = fmt.Sprintf("%s × %d", m.Name, m.Scale)
	}
	s.record(a, p, "module create", p.Online, p.Online, text)
	return nil
}

// deleteModule leaves the versions where they are: history and retired
// environments name them, and their numbers are never given again.
func (s *State) deleteModule(a Actor, p *Product, name ModuleName) error {
	m := s.Modules[name]
	if m == nil {
		return s.unknownModule(name)
	}
	if m.Deleted {
		return nil
	}
	if err := s.checkUnused(name); err != nil {
		return err
	}
	if m.Versions == 0 {
		delete(s.Modules, name)
	} else {
		// Its unversioned address stays its own: a caller who still has it must
		// not reach another module there.
		m.Deleted, m.Created, m.Released, m.Owner = true, false, VersionID{}, "" // nothing of it is in use, so none is stopped
	}
	s.record(a, p, "module delete", p.Online, p.Online, string(name))
	return nil
}

// module returns the module of that name, or nil where there is none any more.
func (s *State) module(name ModuleName) *Module {
	if m := s.Modules[name]; m != nil && !m.Deleted {
		return m
	}
	return nil
}

func (s *State) unknownModule(name ModuleName) error {
	known := []ModuleName{}
	for _, m := range slices.Sorted(maps.Keys(s.Modules)) {
		if s.module(m) != nil {
			known = append(known, m)
		}
	}
	return Errorf(CodeNotFound, "module %q: does not exist; known: %v", name, known)
}

// checkUnused refuses while an environment, a session or a group names the module.
func (s *State) checkUnused(name ModuleName) error {
	for _, e := range s.Live() {
		if v, there := e.Modules[name]; there {
			role := s.Role(e.ID)
			remedy := "it goes when the session ends: abt2 clean"
			switch role {
			case RoleOnline:
				remedy = "take it out in a session: abt2 config remove --name=" + string(name) + ", then ship, commit and clean"
			case RoleRetired:
				remedy = "it is being taken down; again in a moment"
			}
			return Errorf(CodeRefused, "module %s: environment %d (%s) of %s names %s; %s", name, e.ID, role, e.Product, v, remedy)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Sessions)) {
		if sess := s.Sessions[id]; sess.Targets[name] != nil {
			return Errorf(CodeRefused, "module %s: session %d of %s is about it; abt2 config drop --op=%s --name=%s, or abt2 clean", name, id, sess.Operator, sess.Operator, name)
		}
	}
	for _, product := range slices.Sorted(maps.Keys(s.Products)) {
		for _, g := range slices.Sorted(maps.Keys(s.Products[product].Groups)) {
			if slices.Contains(s.Products[product].Groups[g], name) {
				return Errorf(CodeRefused, "module %s: group %s names it; abt2 name group remove %s %s", name, g, g, name)
			}
		}
	}
	return nil
}
