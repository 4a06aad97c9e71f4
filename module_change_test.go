package abt2_test

import (
	"slices"
	"strings"
	"testing"

	"abt2.dev"
)

func changeModule(c abt2.ModuleChange, m abt2.ModuleName, scale int) abt2.ChangeModuleRequest {
	return abt2.ChangeModuleRequest{Product: product, Module: m, Change: c, Scale: scale}
}

// What has been done already succeeds and is not recorded again.
func TestModuleIsCreatedOnce(t *testing.T) {
	s := grouped(t)
	s.Events = nil
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleCreate, "price", 3)))
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleCreate, "price", 0)))
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleCreate, "price", 3)))
	if len(s.Events) != 1 || s.Events[0].Verb != "module create" || s.Events[0].Text != "price × 3" {
		t.Errorf("recorded %+v", s.Events)
	}
	if m := s.Modules["price"]; m.Scale != 3 || m.Versions != 0 {
		t.Errorf("created %+v", m)
	}
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleDelete, "price", 0)))
	if s.Modules["price"] != nil {
		t.Error("a module that never had a build left something behind")
	}
}

// How many run is what was said at the creation, else what the first build says.
func TestScaleOfCreatedModules(t *testing.T) {
	for _, test := range []struct{ created, build, want int }{{3, 2, 3}, {0, 2, 2}, {0, 0, 1}, {1, 2, 1}} {
		s := grouped(t)
		must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleCreate, "price", test.created)))
		_, err := s.CreateSession(product, lihua, "", "token")
		must(t, err)
		p := service(t, "price", "1")
		p.Scale = test.build
		put(t, s, p)
		if got := s.Modules["price"].Scale; got != test.want {
			t.Errorf("created with %d, built with %d: %d run, want %d", test.created, test.build, got, test.want)
		}
	}
}

// A module that was deleted has its history still, and comes back under its
// next number.
func TestDeletedModuleComesBack(t *testing.T) {
	s := grouped(t)
	_, err := s.CreateSession(product, lihua, "", "token")
	must(t, err)
	must(t, s.RemoveModule(product, lihua, "order"))
	ship(t, s, nil)
	commit(t, s)
	clean(t, s)
	for _, id := range slices.Clone(s.Products[product].Retiring) {
		s.Drained(product, id)
	}
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleDelete, "order", 0)))
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleDelete, "order", 0)))
	if err := s.SetScale(product, lihua, map[abt2.ModuleName]int{"order": 2}); abt2.CodeOf(err) != abt2.CodeNotFound || strings.Contains(err.Error(), "order ") {
		t.Errorf("scale of a deleted module: %v", err)
	}
	if m := s.Modules["order"]; m == nil || !m.Deleted || m.Owner != "" || s.Versions[abt2.VersionID{Module: "order", Number: 1}] == nil {
		t.Fatalf("deleted: %+v", m)
	}
	_, err = s.CreateSession(product, lihua, "", "token2")
	must(t, err)
	put(t, s, service(t, "order", "2"))
	if m := s.Modules["order"]; m.Deleted || m.Versions != 2 {
		t.Errorf("back again: %+v", m)
	}
}

func TestModuleChangeRefused(t *testing.T) {
	s := grouped(t)
	_, err := s.ChangeGroup(lihua, change(abt2.GroupCreate, "checkout", "stock"))
	must(t, err)
	_, err = s.CreateSession(product, lihua, "", "token")
	must(t, err)
	put(t, s, service(t, "price", "1"))
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleCreate, "later", 2)))
	for _, test := range []struct {
		actor abt2.Actor
		q     abt2.ChangeModuleRequest
		code  abt2.Code
		want  string
	}{
		{lihua, changeModule(abt2.ModuleCreate, "Price", 0), abt2.CodeInvalid, "must be 1 to 40 of a-z"},
		{lihua, changeModule(abt2.ModuleCreate, abt2.ModuleName(strings.Repeat("a", 41)), 0), abt2.CodeInvalid, "must be 1 to 40"},
		{lihua, changeModule(abt2.ModuleCreate, "all", 0), abt2.CodeInvalid, "reserved"},
		{lihua, changeModule(abt2.ModuleCreate, "new", -1), abt2.CodeInvalid, "must be 1 to 1000"},
		{lihua, changeModule(abt2.ModuleCreate, "new", abt2.MaxScale+1), abt2.CodeInvalid, "must be 1 to 1000"},
		{lihua, changeModule(abt2.ModuleCreate, "checkout", 0), abt2.CodeRefused, "a group of"},
		{lihua, changeModule(abt2.ModuleCreate, "order", 0), abt2.CodeRefused, "is there already"},
		{lihua, changeModule(abt2.ModuleCreate, "later", 3), abt2.CodeRefused, "abt2 scale later=N"},
		{lihua, changeModule(abt2.ModuleDelete, "order", 0), abt2.CodeRefused, "abt2 config remove --name=order"},
		{lihua, changeModule(abt2.ModuleDelete, "price", 0), abt2.CodeRefused, "abt2 config drop"},
		{lihua, changeModule(abt2.ModuleDelete, "none", 0), abt2.CodeNotFound, "known: [later order price report stock web]"},
		{lihua, changeModule("rename", "order", 0), abt2.CodeInvalid, "must be create or delete"},
		{abt2.Actor{}, changeModule(abt2.ModuleCreate, "new", 0), abt2.CodeInvalid, "say who you are"},
		{lihua, abt2.ChangeModuleRequest{Product: "none", Module: "new", Change: abt2.ModuleCreate}, abt2.CodeNotFound, `product "none"`},
	} {
		before := s.Clone()
		err := s.ChangeModule(test.actor, test.q)
		if abt2.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v, want %s with %q", test.q.Change, test.q.Module, err, test.code, test.want)
		}
		if len(s.Modules) != len(before.Modules) || len(s.Events) != len(before.Events) {
			t.Errorf("%s %s: refused, and yet something changed", test.q.Change, test.q.Module)
		}
	}
}

// A group that still names a module keeps it.
func TestGroupKeepsItsModule(t *testing.T) {
	s := grouped(t)
	must(t, s.ChangeModule(lihua, changeModule(abt2.ModuleCreate, "price", 0)))
	_, err := s.ChangeGroup(lihua, change(abt2.GroupCreate, "checkout", "price"))
	must(t, err)
	if err := s.ChangeModule(lihua, changeModule(abt2.ModuleDelete, "price", 0)); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "abt2 name group remove checkout price") {
		t.Errorf("deleted although a group names it: %v", err)
	}
}
