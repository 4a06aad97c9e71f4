package release_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"abt2.dev"
	"abt2.dev/internal/driver/fault"
)

// faultCase is something that happens, what stood before it, and what must
// stand after it.
type faultCase struct {
	name   string
	before func(*trial)
	// request is the verb that happens; without one, event makes something else
	// happen, whose calls are counted from arm on.
	request abt2.VerbRequest
	event   func(w *trial, arm func())
	after   func(*abt2.State, *abt2.Product) bool
}

// happen makes it happen.
func (c faultCase) happen(w *trial, arm func()) {
	if c.event != nil {
		c.event(w, arm)
		return
	}
	arm()
	w.operate(c.request)
}

var released = []abt2.Verb{abt2.VerbShip, abt2.VerbCommit, abt2.VerbClean}

// second is a world with a release online and a session with the next one put.
func second(more ...abt2.Verb) func(*trial) {
	return func(w *trial) {
		w.put("-a")
		w.run(released...)
		w.put("-b")
		w.run(more...)
	}
}

// number returns which version of a module an environment names; 0: none.
func number(s *abt2.State, id abt2.EnvironmentID, m abt2.ModuleName) uint64 {
	if e := s.Environments[id]; e != nil {
		return e.Modules[m].Number
	}
	return 0
}

func scaleTo(n int) abt2.VerbRequest {
	q := verb(abt2.VerbScale)
	q.Scale = map[abt2.ModuleName]int{"order": n}
	return q
}

// share is a commit for a share of the visitors.
func share(s abt2.Share) abt2.VerbRequest {
	q := verb(abt2.VerbCommit)
	q.Share = s
	return q
}

// shared is second with a share of the visitors in the preview.
func shared(w *trial) {
	second(abt2.VerbShip)(w)
	if _, err := w.engine.Run(context.Background(), share(5_00), nil); err != nil {
		w.t.Fatal(err)
	}
}

var faultCases = []faultCase{
	{"ship", second(), verb(abt2.VerbShip), nil, func(s *abt2.State, p *abt2.Product) bool {
		sess := s.Session(p.Name)
		return number(s, p.Online, "web") == 1 && number(s, sess.Preview, "web") == 2 && number(s, sess.Preview, "report") == 2
	}},
	{"ship again", func(w *trial) { second(abt2.VerbShip)(w); w.put("-c") }, verb(abt2.VerbShip), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && number(s, s.Session(p.Name).Preview, "web") == 3
	}},
	{"unship", second(abt2.VerbShip), verb(abt2.VerbUnship), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && s.Session(p.Name).Preview == 0
	}},
	{"first commit", func(w *trial) { w.put("-a"); w.run(abt2.VerbShip) }, verb(abt2.VerbCommit), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && p.Backup == 1 && s.Modules["order"].Owner == p.Name
	}},
	{"commit", second(abt2.VerbShip), verb(abt2.VerbCommit), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 2 && number(s, p.Backup, "web") == 1 && s.Session(p.Name).State == abt2.SessionCommitted
	}},
	{"rollback", second(abt2.VerbShip, abt2.VerbCommit), verb(abt2.VerbRollback), nil, func(s *abt2.State, p *abt2.Product) bool {
		sess := s.Session(p.Name)
		return number(s, p.Online, "web") == 1 && p.Backup == 0 && number(s, sess.Preview, "web") == 2 && sess.State == abt2.SessionOpen
	}},
	{"share", second(abt2.VerbShip), share(5_00), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && s.Session(p.Name).Share == 5_00 && number(s, s.Session(p.Name).Preview, "web") == 2
	}},
	{"greater share", shared, share(20_00), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && s.Session(p.Name).Share == 20_00
	}},
	{"commit after a share", shared, verb(abt2.VerbCommit), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 2 && number(s, p.Backup, "web") == 1 && s.Session(p.Name).Share == 0
	}},
	{"rollback of a share", shared, verb(abt2.VerbRollback), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && s.Session(p.Name).Share == 0 && number(s, s.Session(p.Name).Preview, "web") == 2
	}},
	{"ship during a share", func(w *trial) { shared(w); w.put("-c") }, verb(abt2.VerbShip), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && number(s, s.Session(p.Name).Preview, "web") == 3 && s.Session(p.Name).Share == 0
	}},
	{"clean during a share", shared, verb(abt2.VerbClean), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && p.Backup == 0 && s.Session(p.Name) == nil
	}},
	{"clean", second(abt2.VerbShip, abt2.VerbCommit), verb(abt2.VerbClean), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 2 && p.Backup == 0 && s.Session(p.Name) == nil
	}},
	{"clean an abandoned session", second(abt2.VerbShip), verb(abt2.VerbClean), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && p.Backup == 0 && s.Session(p.Name) == nil
	}},
	{"park", second(abt2.VerbShip), verb(abt2.VerbPark), nil, func(s *abt2.State, p *abt2.Product) bool {
		parked := s.Parked(p)
		return p.Session == 0 && len(parked) == 1 && number(s, parked[0].Preview, "web") == 2
	}},
	{"unpark", func(w *trial) {
		second(abt2.VerbShip, abt2.VerbPark)(w)
		w.put("-c", "order")
		w.run(released...)
	}, verb(abt2.VerbUnpark), nil, func(s *abt2.State, p *abt2.Product) bool {
		sess := s.Session(p.Name)
		return len(p.Parked) == 0 && number(s, p.Online, "order") == 3 && sess.Base == p.Online &&
			number(s, sess.Preview, "web") == 2 && number(s, sess.Preview, "order") == 3 && sess.Targets["order"].State() == abt2.TargetStale
	}},
	{"refresh", func(w *trial) {
		second(abt2.VerbShip)(w)
		// Somebody ends one of two instances, behind the engine's back.
		order := abt2.Version{ID: abt2.VersionID{Module: "order", Number: 1}}
		if err := w.platform.Apply(context.Background(), abt2.Workload{Version: order, Scale: 1}); err != nil {
			w.t.Fatal(err)
		}
	}, verb(abt2.VerbRefresh), nil, func(s *abt2.State, p *abt2.Product) bool {
		return number(s, p.Online, "web") == 1 && s.Session(p.Name).Preview != 0
	}},
	{"scale up", second(abt2.VerbShip), scaleTo(4), nil, func(s *abt2.State, _ *abt2.Product) bool { return s.Modules["order"].Scale == 4 }},
	{"scale down", func(w *trial) {
		second(abt2.VerbShip)(w)
		if _, err := w.engine.Run(context.Background(), scaleTo(4), nil); err != nil {
			w.t.Fatal(err)
		}
	}, scaleTo(1), nil, func(s *abt2.State, _ *abt2.Product) bool { return s.Modules["order"].Scale == 1 }},
	{"start after a crash", second(abt2.VerbShip), abt2.VerbRequest{}, func(w *trial, arm func()) {
		w.end()
		// What a commit leaves behind that ended right after its flip.
		_, err := w.store.Update(context.Background(), func(s *abt2.State) error {
			if err := s.Begin(abt2.DefaultProduct, abt2.Actor{Operator: "ann"}, abt2.VerbCommit, nil); err != nil {
				return err
			}
			return s.Commit(abt2.DefaultProduct, abt2.Actor{})
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.start(arm)
	}, func(s *abt2.State, p *abt2.Product) bool { return number(s, p.Online, "web") == 2 }},
	{"instances fall ill", second(abt2.VerbShip), abt2.VerbRequest{}, func(w *trial, arm func()) {
		// No verb is at work that would look at the platform for itself.
		v := abt2.VersionID{Module: "order", Number: 2}
		arm()
		w.platform.SetUnhealthy(v, true)
		w.quiet()
		w.gateway.checkInstances(w.t, w.platform)
		w.platform.SetUnhealthy(v, false)
	}, func(s *abt2.State, p *abt2.Product) bool { return number(s, p.Online, "web") == 1 }},
}

// TestEveryCallGoesWrong lets every single call to the platform, the edge, the
// registry, the store and the artifacts go wrong in every way, in turn, while a
// verb is at work. Whoever started the verb starts the server again where it ended, and
// repeats the verb until it succeeds. After that nothing may differ from what
// should be, and users must not have noticed.
//
// It has found: an intent left by a lost answer made a repeated rollback end
// the server; instances to end were chosen by the spelling of their ids, so
// that the wrong ones left the table; an instance's end was never told once the
// platform had failed to answer; and who waited for a hung platform could not
// give up.
func TestEveryCallGoesWrong(t *testing.T) {
	for _, c := range faultCases {
		enumerate(t, c.name, func(w *trial, arm func()) {
			c.before(w)
			w.calm()
			c.happen(w, arm)
			w.quiet()
			w.plan.Disarm()
			if s := w.state(); !c.after(s, s.Products[abt2.DefaultProduct]) {
				w.t.Errorf("after %s: %+v, session %+v", c.name, s.Products[abt2.DefaultProduct], s.Session(abt2.DefaultProduct))
			}
			w.check()
		})
	}
}

// TestEveryCallGoesWrongAndNobodyRepeats is the same with an operator who walks
// away: the engine alone leaves nothing half done, and refresh mends the rest.
func TestEveryCallGoesWrongAndNobodyRepeats(t *testing.T) {
	for _, c := range faultCases {
		if c.request.Verb == "" {
			continue
		}
		enumerate(t, c.name, func(w *trial, arm func()) {
			c.before(w)
			w.calm()
			arm()
			_, _ = w.engine.Run(context.Background(), c.request, nil) // done or not
			w.quiet()
			w.plan.Disarm()
			if p := w.state().Products[abt2.DefaultProduct]; p.Intent != nil || p.Unsettled || len(p.Retiring) > 0 {
				w.t.Errorf("something is left: intent %+v, unsettled %t, retiring %v", p.Intent, p.Unsettled, p.Retiring)
			}
			w.operate(verb(abt2.VerbRefresh))
			w.quiet()
			w.check()
		})
	}
}

// enumerate plays a story with every call after its arm going wrong in every way.
func enumerate(t *testing.T, name string, story func(w *trial, arm func())) {
	for _, kind := range fault.Kinds() {
		t.Run(name+"/"+string(kind), func(t *testing.T) {
			t.Parallel()
			for at, call := 1, "some"; call != ""; at++ {
				t.Run(fmt.Sprint(at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { call = suffer(t, kind, at, story) })
				})
				if at == 1 && call == "" && kind != fault.Partial {
					t.Error("no call could go wrong")
				}
				if call == "" {
					t.Logf("%d calls", at-1)
				}
			}
		})
	}
}

// suffer plays a story with one call going wrong and returns its name; empty:
// there are not as many calls.
func suffer(t *testing.T, kind fault.Kind, at int, story func(w *trial, arm func())) (call string) {
	w := newTrial(t)
	var plan *fault.Plan
	story(w, func() {
		plan = w.plan
		plan.Arm(kind, at, w.stop)
	})
	if call = plan.Hit(); t.Failed() {
		t.Logf("what went wrong: %s", call)
	}
	return call
}
