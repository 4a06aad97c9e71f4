package abt2_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"abt2.dev"
)

// TestRules walks through random sequences of verbs, refused ones included, and
// checks after every step what must hold always. The clock jumps, by centuries
// and backwards: wall time is for display and decides nothing.
func TestRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{t: t, s: abt2.NewState("epoch"), environments: map[abt2.EnvironmentID]string{}, versions: map[abt2.VersionID]string{}}
		t.Repeat(map[string]func(*rapid.T){
			"":         func(*rapid.T) { w.check() },
			"create":   w.create,
			"put":      w.put,
			"put2":     w.put,
			"drop":     w.drop,
			"remove":   w.remove,
			"begin":    w.begin,
			"finish":   w.finish,
			"finish2":  w.finish, // listed twice: needed more often than the rest
			"end":      func(*rapid.T) { w.do(func(s *abt2.State) error { s.End(product); return nil }) },
			"settled":  w.settled,
			"drained":  w.drained,
			"scale":    w.scale,
			"skew":     w.skew,
			"prune":    w.prune,
			"share":    w.share,
			"share2":   w.share,
			"complete": w.complete,
			"detour":   w.detour,
		})
	})
}

const product = abt2.DefaultProduct

var (
	moduleNames = []abt2.ModuleName{"api", "order", "stock", "web"}
	operators   = []string{"lihua", "lihua", "lihua", "lihua", "wang", ""}
)

type walk struct {
	t *rapid.T
	s *abt2.State

	environments map[abt2.EnvironmentID]string // as first seen
	versions     map[abt2.VersionID]string
	lastEnv      abt2.EnvironmentID
	lastSession  abt2.SessionID
	before       *memory                     // as it was before the last commit
	live         map[abt2.EnvironmentID]bool // after the last check
}

// memory is what rollback must restore.
type memory struct {
	online   abt2.EnvironmentID
	modules  map[abt2.ModuleName]abt2.VersionID
	released map[abt2.ModuleName]abt2.VersionID
}

func remember(s *abt2.State) *memory {
	online := s.Online(s.Products[product])
	m := &memory{online: online.ID, modules: maps.Clone(online.Modules), released: map[abt2.ModuleName]abt2.VersionID{}}
	for name, mod := range s.Modules {
		m.released[name] = mod.Released
	}
	return m
}

func encode(t *rapid.T, s *abt2.State) string {
	b, err := json.Marshal(struct {
		State  *abt2.State
		Events []abt2.Event
	}{s, s.Events})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// do tries a step on a copy, then takes it: neither a copy's step nor a refused
// one may leave a trace.
func (w *walk) do(step func(*abt2.State) error) error {
	before := encode(w.t, w.s)
	c := w.s.Clone()
	if got := encode(w.t, c); got != before {
		w.t.Fatalf("a clone differs:\n%s\n%s", before, got)
	}
	refused := step(c)
	if got := encode(w.t, w.s); got != before {
		w.t.Fatalf("a step on a clone changed the original:\n%s\n%s", before, got)
	}
	err := step(w.s)
	if (err == nil) != (refused == nil) {
		w.t.Fatalf("on a clone: %v; on the original: %v", refused, err)
	}
	if err != nil {
		if abt2.CodeOf(err) == abt2.CodeInternal {
			w.t.Fatalf("no answer for a person: %v", err)
		}
		if got := encode(w.t, w.s); got != before {
			w.t.Fatalf("refused with %q, and yet changed:\n%s\n%s", err, before, got)
		}
	}
	return err
}

// doAs is do for a step on the product's session, whose owner a then is.
func (w *walk) doAs(a abt2.Actor, step func(*abt2.State) error) error {
	sess := w.s.Session(product)
	err := w.do(step)
	if err == nil && sess != nil && w.s.Session(product).Operator != a.Operator {
		w.t.Fatalf("the step of %s was let through, the session is still %s's", a.Operator, sess.Operator)
	}
	return err
}

func (w *walk) actor(t *rapid.T) abt2.Actor {
	return abt2.Actor{
		Operator: rapid.SampledFrom(operators).Draw(t, "operator"), Identity: "operator",
		Takeover: rapid.Bool().Draw(t, "takeover"), Now: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "clock"), 0).UTC(),
	}
}

func (w *walk) create(t *rapid.T) {
	a := w.actor(t)
	had := w.s.Session(product)
	err := w.do(func(s *abt2.State) error {
		_, err := s.CreateSession(product, a, "a release", "token")
		return err
	})
	if err == nil && had != nil {
		t.Fatal("a second session was opened")
	}
}

func (w *walk) put(t *rapid.T) {
	a := w.actor(t)
	var puts []abt2.Put
	for _, m := range rapid.SliceOfNDistinct(rapid.SampledFrom(moduleNames), 1, 3, rapid.ID[abt2.ModuleName]).Draw(t, "modules") {
		// A kind is for life, so it follows from the name.
		patch := abt2.ConfigPatch{Kind: ptr(abt2.KindService)}
		switch m {
		case "api", "web":
			patch = abt2.ConfigPatch{Kind: ptr(abt2.KindEdge), Prefix: ptr(rapid.SampledFrom([]string{"/", "/api", "/x"}).Draw(t, "prefix"))}
		case "stock":
			patch = abt2.ConfigPatch{Kind: ptr(abt2.KindJob)}
		}
		c, err := abt2.DeriveConfig(m, patch)
		if err != nil {
			t.Fatal(err)
		}
		build := rapid.IntRange(1, 3).Draw(t, "build")
		puts = append(puts, abt2.Put{Module: m, Artifact: abt2.Artifact{Digest: fmt.Sprintf("%s-%d", m, build)}, Config: c, Scale: 1})
	}
	var out []abt2.PutOutcome
	err := w.doAs(a, func(s *abt2.State) (err error) {
		out, err = s.PutVersions(product, a, puts)
		return err
	})
	if err != nil {
		return
	}
	for i, o := range out {
		if v := w.s.Versions[o.Version]; v.Artifact != puts[i].Artifact || v.ID.Module != puts[i].Module {
			t.Fatalf("put %+v, got %+v", puts[i], v)
		}
		p, target := w.s.Products[product], w.s.Session(product).Targets[puts[i].Module]
		untouched := target == nil || target.Shipped.IsZero() && !target.Removed
		if same := w.s.Online(p).Names(o.Version) && untouched; o.Same != same || (target == nil) != same {
			t.Fatalf("put of %s: same is %v, the target %+v", o.Version, o.Same, target)
		}
	}
}

func (w *walk) drop(t *rapid.T) {
	a, m := w.actor(t), rapid.SampledFrom(moduleNames).Draw(t, "module")
	_ = w.doAs(a, func(s *abt2.State) error { return s.Drop(product, a, m) })
}

func (w *walk) remove(t *rapid.T) {
	a, m := w.actor(t), rapid.SampledFrom(moduleNames).Draw(t, "module")
	_ = w.doAs(a, func(s *abt2.State) error { return s.RemoveModule(product, a, m) })
}

var verbs = []abt2.Verb{abt2.VerbShip, abt2.VerbShip, abt2.VerbUnship, abt2.VerbCommit, abt2.VerbCommit, abt2.VerbRollback, abt2.VerbClean, abt2.VerbRefresh, abt2.VerbPark, abt2.VerbUnpark}

func (w *walk) begin(t *rapid.T) {
	a, verb := w.actor(t), rapid.SampledFrom(verbs).Draw(t, "verb")
	var modules []abt2.ModuleName
	if verb == abt2.VerbShip || verb == abt2.VerbUnship {
		modules = rapid.SliceOfNDistinct(rapid.SampledFrom(moduleNames), 0, 2, rapid.ID[abt2.ModuleName]).Draw(t, "modules")
	}
	w.beginVerb(a, verb, modules)
}

func (w *walk) beginVerb(a abt2.Actor, verb abt2.Verb, modules []abt2.ModuleName) {
	sess := w.s.Session(product)
	var owner string
	if sess != nil {
		owner = sess.Operator
	}
	if parked := w.s.Parked(w.s.Products[product]); verb == abt2.VerbUnpark && len(parked) == 1 {
		owner = parked[0].Operator
	}
	attached := w.s.Products[product].Intent != nil
	err := w.do(func(s *abt2.State) error { return s.Begin(product, a, verb, modules) })
	if err != nil || attached {
		return
	}
	switch verb {
	case abt2.VerbShip, abt2.VerbUnship, abt2.VerbCommit, abt2.VerbRollback, abt2.VerbClean, abt2.VerbPark, abt2.VerbUnpark:
		if owner != a.Operator && !a.Takeover {
			w.t.Fatalf("%s by %s, though the session is %s's", verb, a.Operator, owner)
		}
	}
	if verb == abt2.VerbCommit {
		for m, target := range sess.Targets {
			if target.State() != abt2.TargetShipped {
				w.t.Fatalf("commit was let in while %s is %s", m, target.State())
			}
		}
	}
}

// finish ends whatever verb is at work, ship with some of its modules failing.
func (w *walk) finish(t *rapid.T) {
	intent := w.s.Products[product].Intent
	if intent == nil {
		return
	}
	now := abt2.Actor{Now: time.Unix(2, 0).UTC()}
	switch intent.Verb {
	case abt2.VerbShip:
		var healthy []abt2.VersionID
		failed := map[abt2.VersionID]string{}
		if sess := w.s.Session(product); sess != nil {
			for _, m := range slices.Sorted(maps.Keys(sess.Targets)) {
				asked := len(intent.Modules) == 0 || slices.Contains(intent.Modules, m)
				switch v := sess.Targets[m].Put; {
				case !asked || v.IsZero():
				case rapid.IntRange(0, 3).Draw(t, "fails") == 0:
					failed[v] = "exit status 1"
				default:
					healthy = append(healthy, v)
				}
			}
		}
		_ = w.do(func(s *abt2.State) error { return s.Shipped(product, now, healthy, failed) })
	case abt2.VerbUnship:
		_ = w.do(func(s *abt2.State) error { return s.Unshipped(product, now) })
	case abt2.VerbCommit:
		if share := intent.Share; share != 0 {
			online := w.s.Products[product].Online
			if w.do(func(s *abt2.State) error { return s.ShareOut(product, now) }) == nil {
				if sess := w.s.Session(product); sess.Share != share || w.s.Products[product].Online != online {
					t.Fatalf("after a commit for %s the share is %s, online %s, was %s", share, sess.Share, w.s.Products[product].Online, online)
				}
			}
			return
		}
		was := remember(w.s)
		if w.do(func(s *abt2.State) error { return s.Commit(product, now) }) == nil {
			w.before = was
			if p := w.s.Products[product]; p.Backup != was.online || p.Online == was.online {
				t.Fatalf("after commit online is %s, backup %s; online was %s", p.Online, p.Backup, was.online)
			}
		}
	case abt2.VerbRollback:
		if sess := w.s.Session(product); sess != nil && sess.Share != 0 {
			before := remember(w.s)
			if w.do(func(s *abt2.State) error { return s.Rollback(product, now) }) == nil {
				if is := remember(w.s); w.s.Session(product).Share != 0 || is.online != before.online || !maps.Equal(is.released, before.released) {
					t.Fatalf("after the rollback of a share: session %+v, online %s, was %s", w.s.Session(product), is.online, before.online)
				}
			}
			return
		}
		if w.do(func(s *abt2.State) error { return s.Rollback(product, now) }) == nil {
			w.checkRolledBack()
		}
	case abt2.VerbClean:
		_ = w.do(func(s *abt2.State) error { return s.Clean(product, now) })
	case abt2.VerbPark:
		w.park(now)
	case abt2.VerbUnpark:
		w.unpark(now)
	}
}

// checkRolledBack: online is exactly what it was, and so is what was released.
func (w *walk) checkRolledBack() {
	is := remember(w.s)
	if is.online != w.before.online || !maps.Equal(is.modules, w.before.modules) {
		w.t.Fatalf("rolled back to %s %v, was %s %v", is.online, is.modules, w.before.online, w.before.modules)
	}
	if !maps.Equal(is.released, w.before.released) {
		w.t.Fatalf("released is %v, was %v", is.released, w.before.released)
	}
	if p, sess := w.s.Products[product], w.s.Session(product); sess.State != abt2.SessionOpen || p.Backup != 0 || w.s.Preview(p) == nil {
		w.t.Fatalf("after rollback the session is %s, backup %s", sess.State, p.Backup)
	}
}

// complete goes one whole way, which single random steps rarely find.
func (w *walk) complete(t *rapid.T) {
	a := abt2.Actor{Operator: "lihua", Identity: "operator", Takeover: true, Now: time.Unix(3, 0).UTC()}
	for _, verb := range rapid.SampledFrom([][]abt2.Verb{
		{abt2.VerbShip, abt2.VerbCommit},
		{abt2.VerbShip, abt2.VerbCommit, abt2.VerbRollback, abt2.VerbCommit},
		{abt2.VerbShip, abt2.VerbCommit, abt2.VerbClean},
		{abt2.VerbShip},
		{abt2.VerbCommit, abt2.VerbClean},
		{abt2.VerbRollback, abt2.VerbClean},
	}).Draw(t, "way") {
		_ = w.do(func(s *abt2.State) error { s.End(product); return nil })
		w.settled(t)
		w.beginVerb(a, verb, nil)
		w.finish(t)
		w.check()
	}
	_ = w.do(func(s *abt2.State) error { s.End(product); return nil })
}

func (w *walk) settled(*rapid.T) {
	online := w.s.Products[product].Online
	_ = w.do(func(s *abt2.State) error { s.Settled(product, online); return nil })
}

func (w *walk) drained(t *rapid.T) {
	if ids := w.s.Products[product].Retiring; len(ids) > 0 {
		id := rapid.SampledFrom(ids).Draw(t, "environment")
		_ = w.do(func(s *abt2.State) error { s.Drained(product, id); return nil })
		delete(w.live, id)
	}
}

// share begins a commit for a share of the visitors, and mostly ends it, too.
func (w *walk) share(t *rapid.T) {
	a := w.actor(t)
	share := rapid.SampledFrom([]abt2.Share{0, 1, 5_00, 5_00, 20_00, 99_99, 100_00}).Draw(t, "share")
	var was abt2.Share
	if sess := w.s.Session(product); sess != nil {
		was = sess.Share
	}
	if w.do(func(s *abt2.State) error { return s.BeginShare(product, a, share) }) != nil {
		return
	}
	if share <= 0 || share >= abt2.AllVisitors || share < was {
		t.Fatalf("a commit for %d of 10000 visitors was let in, %d are there", share, was)
	}
	if rapid.Bool().Draw(t, "finish") {
		w.finish(t)
	}
}

func (w *walk) skew(t *rapid.T) {
	a := w.actor(t)
	keep := rapid.SampledFrom([]time.Duration{-1, 0, 1, time.Second, 1500 * time.Millisecond, time.Minute, time.Hour, 2 * time.Hour}).Draw(t, "keep")
	key := abt2.SkewKey(rapid.SliceOfN(rapid.Byte(), abt2.SkewKeySize, abt2.SkewKeySize).Draw(t, "key"))
	was := w.s.Products[product].Skew
	if w.do(func(s *abt2.State) error { return s.SetSkew(product, a, abt2.Duration(keep), key) }) != nil {
		return
	}
	switch is := w.s.Products[product].Skew; {
	case (is == nil) != (keep == 0), is != nil && is.Keep != abt2.Duration(keep):
		t.Fatalf("skew is %+v, want %s", is, keep)
	case is != nil && was != nil && string(is.Key) != string(was.Key):
		t.Fatal("the key was replaced, and pages that are open are lost")
	}
}

func (w *walk) scale(t *rapid.T) {
	a := w.actor(t)
	n := rapid.IntRange(0, 3).Draw(t, "scale")
	m := rapid.SampledFrom(moduleNames).Draw(t, "module")
	_ = w.doAs(a, func(s *abt2.State) error { return s.SetScale(product, a, map[abt2.ModuleName]int{m: n}) })
}

// check is what must hold always.
func (w *walk) check() {
	t, s := w.t, w.s
	p := s.Products[product]
	w.checkSessions(p)

	live := map[abt2.EnvironmentID]bool{p.Online: true}
	if p.Backup != 0 {
		live[p.Backup] = true
	}
	if sess := s.Session(product); sess != nil && sess.State == abt2.SessionOpen && sess.Preview != 0 {
		live[sess.Preview] = true
	}
	for _, sess := range s.Parked(p) {
		if sess.Preview != 0 {
			live[sess.Preview] = true
		}
	}
	for _, id := range p.Retiring {
		if live[id] {
			t.Fatalf("environment %s retires and is %s", id, s.Role(id))
		}
	}
	for _, id := range p.Retiring {
		live[id] = true
	}
	kept, inUse := s.KeptArtifacts(0), s.InUse()
	for id := range live {
		e := s.Environments[id]
		if e == nil {
			t.Fatalf("environment %s is in use and unknown", id)
		}
		if !slices.Contains(s.Live(), e) {
			t.Fatalf("environment %s is in use and routers are not told", id)
		}
		for m, v := range e.Modules {
			if !inUse[v] || !kept[s.Versions[v].Artifact.Digest] {
				t.Fatalf("environment %s names %s for %s, and yet it may be removed", id, v, m)
			}
		}
	}
	for id := range w.live {
		if !live[id] {
			t.Fatalf("environment %s was in use and is gone, although routers may still carry it", id)
		}
	}
	w.live = live
	if len(s.Live()) != len(live) {
		t.Fatalf("live are %v, told are %d", live, len(s.Live()))
	}
	w.checkTargets(p)
	w.checkImmutable()
}

// prune forgets versions that were put and dropped again.
func (w *walk) prune(*rapid.T) {
	w.s.Prune(func(abt2.VersionID) bool { return false })
	for v := range w.versions {
		if w.s.Versions[v] == nil {
			delete(w.versions, v)
		}
	}
}

// checkTargets: a target's state is what the preview shows of it.
func (w *walk) checkTargets(p *abt2.Product) {
	sess := w.s.Session(product)
	if sess == nil || sess.State != abt2.SessionOpen {
		return
	}
	online, preview := w.s.Online(p).Modules, w.s.Online(p).Modules
	if e := w.s.Preview(p); e != nil {
		preview = e.Modules
	}
	for m, target := range sess.Targets {
		switch state := target.State(); {
		case state == abt2.TargetShipped && preview[m] != target.Put,
			state == abt2.TargetPut && preview[m] != online[m],
			state == abt2.TargetStale && preview[m] == target.Put:
			w.t.Fatalf("%s is %s: put %q, in the preview %q, online %q", m, state, target.Put, preview[m], online[m])
		}
	}
	for m, v := range preview {
		if sess.Targets[m] == nil && online[m] != v {
			w.t.Fatalf("the preview has %s, which nobody put; online has %q", v, online[m])
		}
	}
}

func (w *walk) checkSessions(p *abt2.Product) {
	t, s := w.t, w.s
	for id, sess := range s.Sessions {
		parked := slices.Contains(p.Parked, id)
		if sess.Product != p.Name || parked == (p.Session == id) || parked != (sess.State == abt2.SessionParked) {
			t.Fatalf("session %s is %s although the product's is %s, parked are %v", id, sess.State, p.Session, p.Parked)
		}
		if e := s.Environments[sess.Preview]; parked && e != nil && (s.Role(e.ID) != abt2.RolePreview || s.Selecting(e) != sess) {
			t.Fatalf("the preview of parked session %s is %s, selected by %+v", id, s.Role(e.ID), s.Selecting(e))
		}
	}
	if !slices.IsSorted(p.Parked) || len(slices.Compact(slices.Clone(p.Parked))) != len(s.Parked(p)) {
		t.Fatalf("parked are %v, known %d of them", p.Parked, len(s.Parked(p)))
	}
	if p.Session != 0 && s.Sessions[p.Session] == nil {
		t.Fatalf("session %s is unknown", p.Session)
	}
	if sess := s.Session(product); (sess != nil && sess.State == abt2.SessionCommitted) != (p.Backup != 0) {
		t.Fatalf("backup is %s, the session %+v", p.Backup, sess)
	}
	if sess := s.Session(product); sess != nil && sess.Share != 0 && (sess.State != abt2.SessionOpen || sess.Preview == 0 || sess.WasOnline != sess.Preview) {
		t.Fatalf("%s of the visitors are in the preview of %+v", sess.Share, sess)
	}
	if s.LastSession < w.lastSession || s.LastEnvironment < w.lastEnv {
		t.Fatal("ids have shrunk")
	}
	w.lastSession, w.lastEnv = s.LastSession, s.LastEnvironment
}

// checkImmutable: versions and environments stay as they were made, and an
// environment names only what exists, no prefix twice.
func (w *walk) checkImmutable() {
	t, s := w.t, w.s
	for id := range w.environments {
		if s.Environments[id] == nil && id+abt2.KeptEnvironments > s.LastEnvironment {
			t.Fatalf("environment %s is gone", id)
		}
	}
	for id, e := range s.Environments {
		b, _ := json.Marshal(e)
		if was, seen := w.environments[id]; seen && was != string(b) {
			t.Fatalf("environment %s was %s, is %s", id, was, b)
		}
		w.environments[id] = string(b)
		if id != e.ID || id > s.LastEnvironment {
			t.Fatalf("environment %s has id %s, the last is %s", id, e.ID, s.LastEnvironment)
		}
		prefixes := map[string]abt2.ModuleName{}
		for m, v := range e.Modules {
			ver := s.Versions[v]
			if ver == nil || v.Module != m {
				t.Fatalf("environment %s names %s for %s, which does not exist", id, v, m)
			}
			if other, twice := prefixes[ver.Config.Prefix]; twice && ver.Config.Prefix != "" {
				t.Fatalf("environment %s: %s and %s have the prefix %s", id, m, other, ver.Config.Prefix)
			}
			prefixes[ver.Config.Prefix] = m
		}
	}
	for id, v := range s.Versions {
		b, _ := json.Marshal(v)
		if was, seen := w.versions[id]; seen && was != string(b) {
			t.Fatalf("version %s was %s, is %s", id, was, b)
		}
		w.versions[id] = string(b)
		if id.Number > s.Modules[id.Module].Versions {
			t.Fatalf("version %s is beyond the last, %d", id, s.Modules[id.Module].Versions)
		}
	}
}

func ptr[T any](v T) *T { return &v }
