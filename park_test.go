package abt2_test

import (
	"maps"
	"slices"
	"testing"

	"abt2.dev"
)

// aside is a state with order and web online, and a parked session that has
// shipped the next version of both; another session is open.
func aside(t *testing.T) *abt2.State {
	t.Helper()
	s := released(t, service(t, "order", "1"), edge(t, "web", "/w", "1"))
	put(t, s, service(t, "order", "2"), edge(t, "web", "/w", "2"))
	ship(t, s, nil)
	park(t, s)
	open(t, s)
	return s
}

func park(t *testing.T, s *abt2.State) {
	t.Helper()
	must(t, s.Begin(product, lihua, abt2.VerbPark, nil))
	must(t, s.Park(product, lihua))
	s.End(product)
}

func unpark(t *testing.T, s *abt2.State) *abt2.Session {
	t.Helper()
	must(t, s.Begin(product, lihua, abt2.VerbUnpark, nil))
	must(t, s.Unpark(product, lihua))
	s.End(product)
	return s.Session(product)
}

// release lets these puts of the open session become online and ends it.
func release(t *testing.T, s *abt2.State, puts ...abt2.Put) {
	t.Helper()
	put(t, s, puts...)
	ship(t, s, nil)
	commit(t, s)
	clean(t, s)
}

func TestUnparkOnAMovedBase(t *testing.T) {
	s := aside(t)
	old := s.Parked(s.Products[product])[0].Preview
	release(t, s, service(t, "order", "3"), service(t, "stock", "1"))
	sess := unpark(t, s)
	p := s.Products[product]
	if got := sess.MovedModules(); !slices.Equal(got, []abt2.ModuleName{"order"}) {
		t.Errorf("moved are %v", got)
	}
	want := map[abt2.ModuleName]uint64{"order": 3, "stock": 1, "web": 2} // order@2 is put, to be shipped again
	got := map[abt2.ModuleName]uint64{}
	for m, v := range s.Preview(p).Modules {
		got[m] = v.Number
	}
	if !maps.Equal(got, want) {
		t.Errorf("the preview is %v, want %v", got, want)
	}
	if !slices.Contains(p.Retiring, old) {
		t.Errorf("the old preview %s does not retire: %v", old, p.Retiring)
	}
	if e := s.Events[len(s.Events)-1]; e.Verb != "unpark" || e.Session != sess.ID || e.Text != "changed on both sides, to be shipped again: order" {
		t.Errorf("history says %+v", e)
	}
	wantError(t, s.Begin(product, lihua, abt2.VerbCommit, nil), abt2.CodeRefused, "order changed on both sides", "order@3", "order@2", "abt2 ship order --op=lihua")
	ship(t, s, nil)
	commit(t, s)
	if v := s.Online(p).Modules["order"]; v.Number != 2 {
		t.Errorf("online is %s", v)
	}
	must(t, s.Begin(product, lihua, abt2.VerbRollback, nil))
	must(t, s.Rollback(product, lihua))
	if v := s.Modules["order"].Released; v.Number != 3 {
		t.Errorf("after rollback %s is released, want what users got while the session was parked", v)
	}
}

func TestUnparkWhereNothingMoved(t *testing.T) {
	s := aside(t)
	clean(t, s)
	preview := s.Parked(s.Products[product])[0].Preview
	if sess := unpark(t, s); sess.Preview != preview || len(sess.MovedModules()) > 0 {
		t.Errorf("preview %s became %s, moved: %v", preview, sess.Preview, sess.MovedModules())
	}
	commit(t, s)
}

func TestUnparkWhatIsOnlineByNow(t *testing.T) {
	s := aside(t)
	release(t, s, service(t, "order", "2"), edge(t, "web", "/w", "2"))
	sess := unpark(t, s)
	if len(sess.Targets) > 0 || sess.Preview != 0 {
		t.Errorf("targets are %+v, the preview is %s", sess.Targets, sess.Preview)
	}
}

// Who ships a version, thinks better of it and puts what is online finds that
// unchanged after a park: the next ship takes the shipped one back.
func TestUnparkTakesNothingBackByItself(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	put(t, s, service(t, "order", "2"))
	ship(t, s, nil)
	put(t, s, service(t, "order", "1"))
	preview := s.Session(product).Preview
	park(t, s)
	sess := unpark(t, s)
	if target := sess.Targets["order"]; sess.Preview != preview || target == nil || target.State() != abt2.TargetStale {
		t.Errorf("preview %s became %s, the target is %+v", preview, sess.Preview, target)
	}
	ship(t, s, nil)
	if v := s.Preview(s.Products[product]).Modules["order"]; v.Number != 1 {
		t.Errorf("after a ship the preview has %s", v)
	}
}

func TestUnparkWhosePrefixIsTaken(t *testing.T) {
	s := released(t, service(t, "order", "1"))
	put(t, s, service(t, "order", "2"), edge(t, "web", "/w", "1"))
	ship(t, s, nil)
	park(t, s)
	open(t, s)
	release(t, s, edge(t, "api", "/w", "1"))
	sess := unpark(t, s)
	if target := sess.Targets["web"]; target.State() != abt2.TargetFailed || target.Failure != `api still has the prefix "/w"` {
		t.Errorf("web is %s: %s", target.State(), target.Failure)
	}
	if v := s.Preview(s.Products[product]).Modules["order"]; v.Number != 2 {
		t.Errorf("the preview has %s", v)
	}
	wantError(t, s.Begin(product, lihua, abt2.VerbShip, nil), abt2.CodeRefused, `web would have the prefix "/w", which api has online`, "abt2 config drop --op=lihua --name=web")
}

func TestParkRefusals(t *testing.T) {
	wang := abt2.Actor{Operator: "wang"}
	for _, c := range []struct {
		name  string
		do    func(t *testing.T, s *abt2.State) error
		code  abt2.Code
		words []string
	}{
		{"while shipping", func(t *testing.T, s *abt2.State) error {
			put(t, s, service(t, "order", "4"))
			must(t, s.Begin(product, lihua, abt2.VerbShip, nil))
			return s.Begin(product, lihua, abt2.VerbPark, nil)
		}, abt2.CodeRefused, []string{"ship by lihua is at work"}},
		{"committed", func(t *testing.T, s *abt2.State) error {
			put(t, s, service(t, "order", "4"))
			ship(t, s, nil)
			commit(t, s)
			return s.Begin(product, lihua, abt2.VerbPark, nil)
		}, abt2.CodeRefused, []string{"is committed", "abt2 clean"}},
		{"someone else's", func(_ *testing.T, s *abt2.State) error { return s.Begin(product, wang, abt2.VerbPark, nil) }, abt2.CodeOwner, []string{"lihua", "--takeover"}},
		{"unpark beside an open one", func(_ *testing.T, s *abt2.State) error { return s.Begin(product, lihua, abt2.VerbUnpark, nil) }, abt2.CodeRefused,
			[]string{"session 3 of lihua is still there", "abt2 clean --op=lihua", "abt2 park --op=lihua"}},
		{"unpark of someone else's", func(t *testing.T, s *abt2.State) error {
			clean(t, s)
			return s.Begin(product, wang, abt2.VerbUnpark, nil)
		}, abt2.CodeOwner, []string{"session 2 belongs to lihua", "parked", "--takeover"}},
		{"unpark one of several", func(t *testing.T, s *abt2.State) error {
			park(t, s)
			return s.Begin(product, lihua, abt2.VerbUnpark, nil)
		}, abt2.CodeInvalid, []string{"2 sessions are parked", "2 of lihua, 3 of lihua"}},
		{"unpark one that is not parked", func(_ *testing.T, s *abt2.State) error { return s.BeginUnpark(product, lihua, 3) }, abt2.CodeNotFound,
			[]string{"--session 3: is not parked", "2 of lihua"}},
		{"unpark nothing", func(t *testing.T, s *abt2.State) error {
			clean(t, s)
			unpark(t, s)
			return s.Begin(product, lihua, abt2.VerbUnpark, nil)
		}, abt2.CodeRefused, []string{"no session of default is parked"}},
		{"ship while it is parked", func(t *testing.T, s *abt2.State) error {
			clean(t, s)
			return s.Begin(product, lihua, abt2.VerbShip, nil)
		}, abt2.CodeRefused, []string{"parked (2 of lihua)", "abt2 unpark --op=lihua", "abt2 start create"}},
		{"park twice at once", func(_ *testing.T, s *abt2.State) error { return s.Park(product, lihua) }, abt2.CodeRefused, []string{"no longer at work"}},
		{"unpark that was not begun", func(_ *testing.T, s *abt2.State) error { return s.Unpark(product, lihua) }, abt2.CodeRefused, []string{"no longer at work"}},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.do(t, aside(t)), c.code, c.words...) })
	}
}

func TestUnparkByTakeover(t *testing.T) {
	s := aside(t)
	clean(t, s)
	wang := abt2.Actor{Operator: "wang", Takeover: true}
	must(t, s.BeginUnpark(product, wang, 2))
	must(t, s.BeginUnpark(product, wang, 2)) // attaches
	must(t, s.Unpark(product, wang))
	if sess := s.Session(product); sess.Operator != "wang" {
		t.Errorf("the session is %s's", sess.Operator)
	}
}
