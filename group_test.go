package abt2_test

import (
	"slices"
	"testing"

	"abt2.dev"
)

// grouped has modules order, stock and web released, and a job.
func grouped(t *testing.T) *abt2.State {
	t.Helper()
	s := abt2.NewState("epoch")
	_, err := s.CreateSession(product, lihua, "", "token")
	must(t, err)
	job, err := abt2.DeriveConfig("report", abt2.ConfigPatch{Kind: ptr(abt2.KindJob)})
	must(t, err)
	put(t, s, service(t, "order", "1"), service(t, "stock", "1"), edge(t, "web", "/", "1"),
		abt2.Put{Module: "report", Artifact: abt2.Artifact{Digest: "report"}, Config: job, Scale: 1})
	ship(t, s, nil)
	commit(t, s)
	clean(t, s)
	return s
}

func change(c abt2.GroupChange, group abt2.GroupName, modules ...abt2.ModuleName) abt2.GroupRequest {
	return abt2.GroupRequest{Product: product, Group: group, Change: c, Modules: modules}
}

func TestGroups(t *testing.T) {
	s := grouped(t)
	for _, step := range []struct {
		q    abt2.GroupRequest
		want []abt2.ModuleName
		same bool // nothing is recorded
	}{
		{change(abt2.GroupCreate, "checkout", "stock", "order", "stock"), []abt2.ModuleName{"order", "stock"}, false},
		{change(abt2.GroupCreate, "checkout", "order", "stock"), []abt2.ModuleName{"order", "stock"}, true},
		{change(abt2.GroupAdd, "checkout", "web"), []abt2.ModuleName{"order", "stock", "web"}, false},
		{change(abt2.GroupAdd, "checkout", "order"), []abt2.ModuleName{"order", "stock", "web"}, true},
		{change(abt2.GroupRemove, "checkout", "order", "gone"), []abt2.ModuleName{"stock", "web"}, false},
		{change(abt2.GroupRemove, "checkout", "order"), []abt2.ModuleName{"stock", "web"}, true},
		{change(abt2.GroupDelete, "checkout"), []abt2.ModuleName{"stock", "web"}, false},
		{change(abt2.GroupDelete, "checkout"), nil, true},
		{change(abt2.GroupCreate, "later"), nil, false},
	} {
		s.Events = nil
		g, err := s.ChangeGroup(lihua, step.q)
		must(t, err)
		if !slices.Equal(g.Modules, step.want) || g.Name != step.q.Group {
			t.Errorf("%s: %+v, want %v", step.q.Change, g, step.want)
		}
		if got := len(s.Events) == 0; got != step.same {
			t.Errorf("%s %v: recorded %v", step.q.Change, step.q.Modules, s.Events)
		}
	}
	list, err := s.GroupsOf(product)
	if err != nil || len(list) != 1 || list[0].Name != "later" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestGroupsRefused(t *testing.T) {
	s := grouped(t)
	_, err := s.ChangeGroup(lihua, change(abt2.GroupCreate, "checkout", "order"))
	must(t, err)
	for _, c := range []struct {
		name string
		do   func(*abt2.State) error
		code abt2.Code
	}{
		{"no name", group(change(abt2.GroupCreate, "")), abt2.CodeInvalid},
		{"a slash", group(change(abt2.GroupCreate, "a/b")), abt2.CodeInvalid},
		{"a module's name", group(change(abt2.GroupCreate, "order", "stock")), abt2.CodeRefused},
		{"there with other modules", group(change(abt2.GroupCreate, "checkout", "stock")), abt2.CodeRefused},
		{"an unknown module", group(change(abt2.GroupAdd, "checkout", "oder")), abt2.CodeNotFound},
		{"a job", group(change(abt2.GroupAdd, "checkout", "report")), abt2.CodeRefused},
		{"an unknown group", group(change(abt2.GroupAdd, "chekout", "stock")), abt2.CodeNotFound},
		{"nothing to add", group(change(abt2.GroupAdd, "checkout")), abt2.CodeInvalid},
		{"an unknown change", group(change("rename", "checkout")), abt2.CodeInvalid},
		{"an unknown product", group(abt2.GroupRequest{Product: "shop", Group: "g", Change: abt2.GroupCreate}), abt2.CodeNotFound},
		{"nobody", func(s *abt2.State) error {
			_, err := s.ChangeGroup(abt2.Actor{}, change(abt2.GroupDelete, "checkout"))
			return err
		}, abt2.CodeInvalid},
		{"a module with a group's name", func(s *abt2.State) error {
			if _, err := s.CreateSession(product, lihua, "", "t"); err != nil {
				return err
			}
			_, err := s.PutVersions(product, lihua, []abt2.Put{service(t, "checkout", "1")})
			return err
		}, abt2.CodeRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			try := s.Clone()
			if err := c.do(try); abt2.CodeOf(err) != c.code {
				t.Errorf("%v, want code %s", err, c.code)
			}
			if got := try.Products[product].Groups; len(got) != 1 || !slices.Equal(got["checkout"], []abt2.ModuleName{"order"}) {
				t.Errorf("groups are %v", got)
			}
		})
	}
}

func group(q abt2.GroupRequest) func(*abt2.State) error {
	return func(s *abt2.State) error {
		_, err := s.ChangeGroup(lihua, q)
		return err
	}
}

// A copy's groups are its own.
func TestGroupsOfACopy(t *testing.T) {
	s := grouped(t)
	_, err := s.ChangeGroup(lihua, change(abt2.GroupCreate, "checkout", "order"))
	must(t, err)
	c := s.Clone()
	_, err = c.ChangeGroup(lihua, change(abt2.GroupAdd, "checkout", "stock"))
	must(t, err)
	_, err = c.ChangeGroup(lihua, change(abt2.GroupCreate, "other"))
	must(t, err)
	if got := s.Products[product].Groups; len(got) != 1 || len(got["checkout"]) != 1 {
		t.Errorf("the copy changed the original: %v", got)
	}
}
