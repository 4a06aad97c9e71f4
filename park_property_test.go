package abt2_test

import (
	"encoding/json"
	"slices"
	"time"

	"pgregory.net/rapid"

	"abt2.dev"
)

// park finishes a park: the session is as it was, but for where it stands.
func (w *walk) park(now abt2.Actor) {
	before := w.s.Clone().Session(product)
	if w.do(func(s *abt2.State) error { return s.Park(product, now) }) != nil {
		return
	}
	after := *w.s.Sessions[before.ID]
	after.State, after.Changed = before.State, before.Changed
	was, _ := json.Marshal(before)
	if is, _ := json.Marshal(after); string(is) != string(was) {
		w.t.Fatalf("park changed the session:\n%s\n%s", was, is)
	}
}

// unpark finishes an unpark: what the session wants stands on what is online,
// and what changed on both sides is named and not shipped.
func (w *walk) unpark(now abt2.Actor) {
	p := w.s.Products[product]
	before := *w.s.Clone().Sessions[p.Intent.Session]
	if w.do(func(s *abt2.State) error { return s.Unpark(product, now) }) != nil {
		return
	}
	sess, online := w.s.Session(product), w.s.Online(p)
	if sess.ID != before.ID || sess.State != abt2.SessionOpen || sess.Token != before.Token || sess.Base != p.Online {
		w.t.Fatalf("unparked %+v as %+v", before, sess)
	}
	base := w.s.Environments[before.Base]
	for m, was := range before.Targets {
		t := sess.Targets[m]
		moved := base.Modules[m] != online.Modules[m]
		if done := moved && online.Modules[m] == was.Put; done != (t == nil) {
			w.t.Fatalf("%s: %q is wanted, %q online, the target is %+v", m, was.Put, online.Modules[m], t)
		}
		if t == nil {
			continue
		}
		if t.Put != was.Put || t.Prior != w.s.Modules[m].Released || t.Moved != (was.Moved || moved) {
			w.t.Fatalf("%s: was %+v, is %+v; it moved: %v", m, was, t, moved)
		}
		if state := t.State(); moved && state != abt2.TargetStale && state != abt2.TargetFailed {
			w.t.Fatalf("%s changed on both sides and is %s", m, state)
		}
		if !moved && t.State() != was.State() && t.State() != abt2.TargetFailed {
			w.t.Fatalf("%s did not change and was %s, is %s", m, was.State(), t.State())
		}
	}
	if p.Online == before.Base && sess.Preview != before.Preview {
		w.t.Fatalf("nothing has moved, and yet preview %s became %s", before.Preview, sess.Preview)
	}
	if e := w.s.Environments[before.Preview]; e != nil && sess.Preview != e.ID && !slices.Contains(p.Retiring, e.ID) {
		w.t.Fatalf("preview %s was replaced by %s and does not retire", e.ID, sess.Preview)
	}
}

// detour parks the open session, releases something else, and goes on with it,
// which single random steps rarely find.
func (w *walk) detour(t *rapid.T) {
	a := abt2.Actor{Operator: "lihua", Identity: "operator", Takeover: true, Now: time.Unix(4, 0).UTC()}
	verb := func(v abt2.Verb) {
		_ = w.do(func(s *abt2.State) error { s.End(product); return nil })
		w.settled(t)
		w.beginVerb(a, v, nil)
		w.finish(t)
		w.check()
		_ = w.do(func(s *abt2.State) error { s.End(product); return nil })
	}
	verb(abt2.VerbPark)
	w.create(t)
	w.put(t)
	for _, v := range []abt2.Verb{abt2.VerbShip, abt2.VerbCommit, abt2.VerbClean} {
		verb(v)
	}
	parked := w.s.Products[product].Parked
	if len(parked) == 0 {
		return
	}
	id := rapid.SampledFrom(parked).Draw(t, "session")
	if w.do(func(s *abt2.State) error { return s.BeginUnpark(product, a, id) }) == nil {
		w.finish(t)
		w.check()
	}
	_ = w.do(func(s *abt2.State) error { s.End(product); return nil })
	for _, v := range []abt2.Verb{abt2.VerbShip, abt2.VerbCommit} {
		verb(v)
	}
}
