package abt2_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

var lihua = abt2.Actor{Operator: "lihua", Identity: "operator", Now: time.Unix(1, 0).UTC()}

// edge is a put of an edge module with a prefix; build tells artifacts apart.
func edge(t *testing.T, m abt2.ModuleName, prefix, build string) abt2.Put {
	t.Helper()
	c, err := abt2.DeriveConfig(m, abt2.ConfigPatch{Kind: ptr(abt2.KindEdge), Prefix: &prefix})
	if err != nil {
		t.Fatal(err)
	}
	return abt2.Put{Module: m, Artifact: abt2.Artifact{Digest: string(m) + build}, Config: c, Scale: 1}
}

func service(t *testing.T, m abt2.ModuleName, build string) abt2.Put {
	t.Helper()
	c, err := abt2.DeriveConfig(m, abt2.ConfigPatch{Kind: ptr(abt2.KindService)})
	if err != nil {
		t.Fatal(err)
	}
	return abt2.Put{Module: m, Artifact: abt2.Artifact{Digest: string(m) + build}, Config: c, Scale: 1, Address: "127.0.0.1:9000"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s *abt2.State, puts ...abt2.Put) {
	t.Helper()
	_, err := s.PutVersions(product, lihua, puts)
	must(t, err)
}

// ship ships modules; those in fail do not become healthy.
func ship(t *testing.T, s *abt2.State, modules []abt2.ModuleName, fail ...abt2.ModuleName) {
	t.Helper()
	must(t, s.Begin(product, lihua, abt2.VerbShip, modules))
	var healthy []abt2.VersionID
	failed := map[abt2.VersionID]string{}
	for m, target := range s.Session(product).Targets {
		switch {
		case target.Put.IsZero() || len(modules) > 0 && !slices.Contains(modules, m):
		case slices.Contains(fail, m):
			failed[target.Put] = "exit status 1"
		default:
			healthy = append(healthy, target.Put)
		}
	}
	must(t, s.Shipped(product, lihua, healthy, failed))
	s.End(product)
}

func commit(t *testing.T, s *abt2.State) {
	t.Helper()
	must(t, s.Begin(product, lihua, abt2.VerbCommit, nil))
	must(t, s.Commit(product, lihua))
	s.End(product)
	s.Settled(product, s.Products[product].Online)
}

func clean(t *testing.T, s *abt2.State) {
	t.Helper()
	must(t, s.Begin(product, lihua, abt2.VerbClean, nil))
	must(t, s.Clean(product, lihua))
	s.End(product)
}

// released is a state with these puts online and a session open on it.
func released(t *testing.T, puts ...abt2.Put) *abt2.State {
	t.Helper()
	s := abt2.NewState("epoch")
	open(t, s)
	put(t, s, puts...)
	ship(t, s, nil)
	commit(t, s)
	clean(t, s)
	open(t, s)
	s.Events = nil
	return s
}

func open(t *testing.T, s *abt2.State) {
	t.Helper()
	_, err := s.CreateSession(product, lihua, "sprint 44", "token")
	must(t, err)
}

func wantError(t *testing.T, err error, code abt2.Code, words ...string) {
	t.Helper()
	if abt2.CodeOf(err) != code {
		t.Fatalf("got %q (%v), want code %q", abt2.CodeOf(err), err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestPrefixesSwapped(t *testing.T) {
	swap := func(t *testing.T) *abt2.State {
		s := released(t, edge(t, "api", "/a", "1"), edge(t, "web", "/w", "1"))
		put(t, s, edge(t, "api", "/w", "2"), edge(t, "web", "/a", "2"))
		return s
	}
	t.Run("shipped one at a time", func(t *testing.T) {
		err := swap(t).Begin(product, lihua, abt2.VerbShip, []abt2.ModuleName{"api"})
		wantError(t, err, abt2.CodeRefused, "api and web", `"/w"`, "abt2 ship api web --op=lihua")
	})
	t.Run("unshipped one at a time", func(t *testing.T) {
		s := swap(t)
		ship(t, s, nil)
		err := s.Begin(product, lihua, abt2.VerbUnship, []abt2.ModuleName{"web"})
		wantError(t, err, abt2.CodeRefused, "abt2 unship api web --op=lihua")
		must(t, s.Begin(product, lihua, abt2.VerbUnship, nil))
	})
	t.Run("one of them fails", func(t *testing.T) {
		s := swap(t)
		ship(t, s, nil, "web")
		target := s.Session(product).Targets["api"]
		if target.State() != abt2.TargetFailed || target.Failure != `web still has the prefix "/w"` {
			t.Errorf("api is %s: %s", target.State(), target.Failure)
		}
		if e := s.Preview(s.Products[product]); e != nil {
			t.Errorf("the preview names %v", e.Modules)
		}
		if text := s.Events[len(s.Events)-1].Text; !strings.Contains(text, "api@2 failed: web still") || !strings.Contains(text, "web@2 failed: exit") {
			t.Errorf("history says %q", text)
		}
	})
	t.Run("put", func(t *testing.T) {
		s := released(t, edge(t, "api", "/a", "1"), edge(t, "web", "/w", "1"))
		_, err := s.PutVersions(product, lihua, []abt2.Put{edge(t, "api", "/w", "2")})
		wantError(t, err, abt2.CodeInvalid, `web: prefix "/w": api has it already`)
	})
}

func TestCommitRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(t *testing.T, s *abt2.State)
		words []string
	}{
		{"nothing shipped", func(*testing.T, *abt2.State) {}, []string{"nothing is shipped", "abt2 ship all --op=lihua"}},
		{"put", func(t *testing.T, s *abt2.State) { put(t, s, service(t, "order", "2")) },
			[]string{"order is put but not shipped", "abt2 ship order --op=lihua", "abt2 config drop --op=lihua --name=order"}},
		{"stale", func(t *testing.T, s *abt2.State) {
			put(t, s, service(t, "order", "2"))
			ship(t, s, nil)
			put(t, s, service(t, "order", "3"))
		}, []string{"(order@2, now order@3)", "abt2 ship order --op=lihua", "abt2 unship order --op=lihua"}},
		{"removed after it was shipped", func(t *testing.T, s *abt2.State) {
			put(t, s, service(t, "order", "2"))
			ship(t, s, nil)
			must(t, s.RemoveModule(product, lihua, "order"))
		}, []string{"(order@2, now removed)"}},
		{"put after its removal was shipped", func(t *testing.T, s *abt2.State) {
			must(t, s.RemoveModule(product, lihua, "order"))
			ship(t, s, nil)
			put(t, s, service(t, "order", "1"))
		}, []string{"(removed, now order@1)", "abt2 unship order --op=lihua"}},
		{"failed", func(t *testing.T, s *abt2.State) {
			put(t, s, service(t, "order", "2"))
			ship(t, s, nil, "order")
		}, []string{"order failed to ship (exit status 1)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := released(t, service(t, "order", "1"))
			c.do(t, s)
			wantError(t, s.Begin(product, lihua, abt2.VerbCommit, nil), abt2.CodeRefused, c.words...)
		})
	}
}

// TestCommitChecksAgain: what was ready when the verb began need not be at its point of no return.
func TestCommitChecksAgain(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	put(t, s, service(t, "order", "2"))
	ship(t, s, nil)
	must(t, s.Begin(product, lihua, abt2.VerbCommit, nil))
	put(t, s, service(t, "order", "3"))
	wantError(t, s.Commit(product, lihua), abt2.CodeRefused, "order@3")
}

func TestRefusals(t *testing.T) {
	wang := abt2.Actor{Operator: "wang"}
	for _, c := range []struct {
		name  string
		do    func(s *abt2.State) error
		code  abt2.Code
		words []string
	}{
		{"no operator", func(s *abt2.State) error { return s.Begin(product, abt2.Actor{}, abt2.VerbShip, nil) }, abt2.CodeInvalid, []string{`--op ""`}},
		{"someone else's", func(s *abt2.State) error { return s.Begin(product, wang, abt2.VerbShip, nil) }, abt2.CodeOwner, []string{"lihua", "sprint 44", "--takeover"}},
		{"unknown product", func(s *abt2.State) error { return s.Begin("shop", lihua, abt2.VerbShip, nil) }, abt2.CodeNotFound, []string{`"shop"`, "default"}},
		{"ship what was not put", func(s *abt2.State) error {
			return s.Begin(product, lihua, abt2.VerbShip, []abt2.ModuleName{"web"})
		}, abt2.CodeNotFound, []string{`"web"`, "abt2 config put"}},
		{"ship nothing", func(s *abt2.State) error { return s.Begin(product, lihua, abt2.VerbShip, nil) }, abt2.CodeRefused, []string{"abt2 config put"}},
		{"rollback of an open session", func(s *abt2.State) error { return s.Begin(product, lihua, abt2.VerbRollback, nil) }, abt2.CodeRefused, []string{"is open, not committed"}},
		{"drop what was not put", func(s *abt2.State) error { return s.Drop(product, lihua, "web") }, abt2.CodeNotFound, []string{"targets: none"}},
		{"remove what is not online", func(s *abt2.State) error { return s.RemoveModule(product, lihua, "web") }, abt2.CodeNotFound, []string{"abt2 config drop"}},
		{"put twice at once", func(s *abt2.State) error {
			_, err := s.PutVersions(product, lihua, []abt2.Put{service(t, "web", "1"), service(t, "web", "2")})
			return err
		}, abt2.CodeInvalid, []string{`"web"`, "twice"}},
		{"put under a wrong name", func(s *abt2.State) error {
			_, err := s.PutVersions(product, lihua, []abt2.Put{service(t, "all", "1")})
			return err
		}, abt2.CodeInvalid, []string{"reserved"}},
		{"another kind", func(s *abt2.State) error {
			_, err := s.PutVersions(product, lihua, []abt2.Put{edge(t, "order", "/", "2")})
			return err
		}, abt2.CodeInvalid, []string{`kind "edge"`, "service"}},
		{"another session", func(s *abt2.State) error { _, err := s.CreateSession(product, wang, "", ""); return err }, abt2.CodeRefused, []string{"lihua", "abt2 clean"}},
		{"scale of what is unknown", func(s *abt2.State) error { return s.SetScale(product, lihua, map[abt2.ModuleName]int{"web": 1}) }, abt2.CodeNotFound, []string{"[order]"}},
		{"scale to nothing", func(s *abt2.State) error { return s.SetScale(product, lihua, map[abt2.ModuleName]int{"order": 0}) }, abt2.CodeInvalid, []string{"order=0", "1 to 1000"}},
		{"scale by someone else", func(s *abt2.State) error { return s.SetScale(product, wang, map[abt2.ModuleName]int{"order": 2}) }, abt2.CodeOwner, []string{"lihua"}},
		{"shipped though nothing is at work", func(s *abt2.State) error { return s.Shipped(product, lihua, nil, nil) }, abt2.CodeRefused, []string{"no longer at work"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, c.do(released(t, service(t, "order", "1"))), c.code, c.words...)
		})
	}
}

func TestOneVerbAtATime(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	put(t, s, service(t, "order", "2"))
	must(t, s.Begin(product, lihua, abt2.VerbShip, nil))
	must(t, s.Begin(product, lihua, abt2.VerbShip, nil)) // attaches
	wantError(t, s.Begin(product, lihua, abt2.VerbUnship, nil), abt2.CodeRefused, "ship by lihua is at work")
}

func TestCleanWaitsForSettle(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	put(t, s, service(t, "order", "2"))
	ship(t, s, nil)
	must(t, s.Begin(product, lihua, abt2.VerbCommit, nil))
	must(t, s.Commit(product, lihua))
	s.End(product)
	wantError(t, s.Begin(product, lihua, abt2.VerbClean, nil), abt2.CodeRefused, "not settled", "abt2 refresh")
	s.Settled(product, s.Products[product].Backup) // another environment's names: not this switch
	wantError(t, s.Begin(product, lihua, abt2.VerbClean, nil), abt2.CodeRefused, "not settled")
	s.Settled(product, s.Products[product].Online)
	clean(t, s)
}

func TestTakeoverIsRecorded(t *testing.T) {
	wang := abt2.Actor{Operator: "wang", Identity: "operator 2", Takeover: true}
	for name, do := range map[string]func(s *abt2.State) error{
		"put": func(s *abt2.State) error {
			_, err := s.PutVersions(product, wang, []abt2.Put{service(t, "web", "1")})
			return err
		},
		"remove": func(s *abt2.State) error { return s.RemoveModule(product, wang, "order") },
		"scale":  func(s *abt2.State) error { return s.SetScale(product, wang, map[abt2.ModuleName]int{"order": 2}) },
		"clean":  func(s *abt2.State) error { return s.Begin(product, wang, abt2.VerbClean, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, service(t, "order", "1"))
			must(t, do(s))
			if sess := s.Session(product); sess.Operator != "wang" || sess.Identity != "operator 2" {
				t.Errorf("the session is %s's", sess.Operator)
			}
			if !slices.ContainsFunc(s.Events, func(e abt2.Event) bool {
				return e.Verb == "takeover" && e.Operator == "wang" && strings.Contains(e.Text, "lihua")
			}) {
				t.Errorf("not recorded: %+v", s.Events)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	p := s.Products[product]
	first := p.Online
	put(t, s, service(t, "order", "2"))
	ship(t, s, nil)
	next := s.Preview(p).ID
	want := func(id abt2.EnvironmentID, r abt2.Role) {
		t.Helper()
		if got := s.Role(id); got != r {
			t.Errorf("environment %s is %s, want %s", id, got, r)
		}
	}
	want(first, abt2.RoleOnline)
	want(next, abt2.RolePreview)
	commit(t, s)
	want(first, abt2.RoleBackup)
	want(next, abt2.RoleOnline)
	clean(t, s)
	want(first, abt2.RoleRetired)
	want(99, abt2.RoleRetired)
}

func TestKeptArtifacts(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	for _, build := range []string{"2", "3"} {
		put(t, s, service(t, "order", build))
		ship(t, s, nil)
		commit(t, s)
		clean(t, s)
		for _, id := range slices.Clone(s.Products[product].Retiring) {
			s.Drained(product, id)
		}
		open(t, s)
	}
	put(t, s, service(t, "order", "4"))
	for releases, want := range map[int][]string{
		0:  {"order3", "order4"},
		2:  {"order2", "order3", "order4"},
		10: {"order1", "order2", "order3", "order4"},
	} {
		kept := s.KeptArtifacts(releases)
		for _, d := range []string{"order1", "order2", "order3", "order4"} {
			if kept[d] != slices.Contains(want, d) {
				t.Errorf("with %d releases %s is kept: %v", releases, d, kept[d])
			}
		}
	}
}

// TestCloneSharesNothingThatChanges goes through all that a state holds; a
// field added later is found here.
func TestCloneSharesNothingThatChanges(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	put(t, s, service(t, "order", "2"))
	must(t, s.Begin(product, lihua, abt2.VerbShip, []abt2.ModuleName{"order"}))
	s.Products[product].Hosts = []string{"shop.example"}
	s.Products[product].Retiring = []abt2.EnvironmentID{1}
	c := s.Clone()
	if !reflect.DeepEqual(s, c) {
		t.Fatalf("the clone differs:\n%+v\n%+v", s, c)
	}
	sameMemory(t, "State", reflect.ValueOf(s), reflect.ValueOf(c))
}

func sameMemory(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		switch a.Interface().(type) {
		case *abt2.Version, *abt2.Environment, *time.Location:
			return // never change once made
		}
		if a.IsNil() {
			return
		}
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		sameMemory(t, path, a.Elem(), b.Elem())
	case reflect.Map:
		if a.Pointer() == b.Pointer() && !a.IsNil() {
			t.Errorf("%s is shared", path)
		}
		for _, k := range a.MapKeys() {
			sameMemory(t, path+"["+k.String()+"]", a.MapIndex(k), b.MapIndex(k))
		}
	case reflect.Slice:
		if a.Len() > 0 && a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range a.NumField() {
			sameMemory(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}
