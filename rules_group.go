package abt2

import (
	"fmt"
	"maps"
	"slices"
)

// ChangeGroup creates a group of modules, adds or removes some, or deletes it,
// and returns what it is, or was, then. What has been done already succeeds.
func (s *State) ChangeGroup(a Actor, q GroupRequest) (Group, error) {
	p, err := s.Product(q.Product)
	if err != nil {
		return Group{}, err
	}
	if a.Operator == "" {
		return Group{}, Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	if err := q.Group.Validate(); err != nil {
		return Group{}, err
	}
	list, there := p.Groups[q.Group]
	next, err := s.changedGroup(q, list, there)
	if err != nil {
		return Group{}, err
	}
	out := Group{Product: p.Name, Name: q.Group, Modules: append([]ModuleName{}, next...)}
	switch {
	case q.Change == GroupDelete && there:
		out.Modules = append(out.Modules, list...)
		delete(p.Groups, q.Group)
	case q.Change == GroupDelete, there && slices.Equal(list, next):
		return out, nil
	default:
		if p.Groups == nil {
			p.Groups = map[GroupName][]ModuleName{}
		}
		p.Groups[q.Group] = next
	}
	s.record(a, p, "name group "+string(q.Change), p.Online, p.Online, fmt.Sprintf("%s: %v", q.Group, out.Modules))
	return out, nil
}

// changedGroup is the list of modules that the group is to have.
func (s *State) changedGroup(q GroupRequest, list []ModuleName, there bool) ([]ModuleName, error) {
	if err := s.checkMembers(q); err != nil {
		return nil, err
	}
	switch q.Change {
	case GroupCreate:
		next := slices.Compact(slices.Sorted(slices.Values(q.Modules)))
		switch {
		case s.module(ModuleName(q.Group)) != nil:
			return nil, Errorf(CodeRefused, "group %s: a module has that name, and a name leads to one thing only; choose another", q.Group)
		case there && !slices.Equal(list, next):
			return nil, Errorf(CodeRefused, "group %s: is there already, with %v; change it: abt2 name group add %s MODULE, abt2 name group remove %s MODULE", q.Group, list, q.Group, q.Group)
		}
		return next, nil
	case GroupAdd, GroupRemove:
		if !there {
			return nil, Errorf(CodeNotFound, "group %q: does not exist in %s; create it: abt2 name group create %s MODULE...", q.Group, q.Product, q.Group)
		}
		if len(q.Modules) == 0 {
			return nil, Errorf(CodeInvalid, "group %s: name the modules to %s", q.Group, q.Change)
		}
		if q.Change == GroupAdd {
			return slices.Compact(slices.Sorted(slices.Values(slices.Concat(list, q.Modules)))), nil
		}
		return slices.DeleteFunc(slices.Clone(list), func(m ModuleName) bool { return slices.Contains(q.Modules, m) }), nil
	case GroupDelete:
		return nil, nil
	}
	return nil, Errorf(CodeInvalid, "change %q: must be create, add, remove or delete", q.Change)
}

// checkMembers refuses what cannot be in a group. What is to be removed may be
// gone already.
func (s *State) checkMembers(q GroupRequest) error {
	for _, m := range q.Modules {
		if err := m.Validate(); err != nil {
			return err
		}
		mod := s.module(m)
		switch {
		case q.Change == GroupRemove:
		case mod == nil:
			return s.unknownModule(m)
		case s.kindOf(mod) == KindJob:
			return Errorf(CodeRefused, "module %s: is a job, and a job is not called; leave it out", m)
		}
	}
	return nil
}

// kindOf is the kind of the module's last version; empty: it has none.
func (s *State) kindOf(m *Module) Kind {
	if v := s.Versions[VersionID{Module: m.Name, Number: m.Versions}]; v != nil {
		return v.Config.Kind
	}
	return ""
}

// GroupsOf lists the product's groups by name.
func (s *State) GroupsOf(name ProductName) ([]Group, error) {
	p, err := s.Product(name)
	if err != nil {
		return nil, err
	}
	out := []Group{}
	for _, g := range slices.Sorted(maps.Keys(p.Groups)) {
		out = append(out, Group{Product: name, Name: g, Modules: append([]ModuleName{}, p.Groups[g]...)})
	}
	return out, nil
}

// checkNewModule refuses a module whose name leads to a group.
func (s *State) checkNewModule(m ModuleName) error {
	for _, name := range slices.Sorted(maps.Keys(s.Products)) {
		if _, taken := s.Products[name].Groups[GroupName(m)]; taken {
			return Errorf(CodeRefused, "module %s: a group of %s has that name, and a name leads to one thing only; choose another, or abt2 name group delete %s", m, name, m)
		}
	}
	return nil
}
