package abt2

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Begin records the intent of a verb, refusing what the state does not allow.
// Beginning the verb that is at work already attaches to it: it succeeds and
// changes nothing. For ship and unship, modules names them; empty means all.
// For unpark see BeginUnpark: Begin means the only parked session.
func (s *State) Begin(name ProductName, a Actor, verb Verb, modules []ModuleName) error {
	return s.begin(name, a, verb, modules, 0)
}

// BeginUnpark is Begin of unpark, for one parked session of several.
func (s *State) BeginUnpark(name ProductName, a Actor, session SessionID) error {
	return s.begin(name, a, VerbUnpark, nil, session)
}

func (s *State) begin(name ProductName, a Actor, verb Verb, modules []ModuleName, session SessionID) error {
	p, err := s.Product(name)
	if err != nil {
		return err
	}
	if p.Intent != nil {
		if p.Intent.Verb == verb && slices.Equal(p.Intent.Modules, modules) && p.Intent.Share == 0 && (session == 0 || session == p.Intent.Session) {
			return nil
		}
		return Errorf(CodeRefused, "%s by %s is at work on %s; wait for it: abt2 status", p.Intent.Verb, p.Intent.Operator, name)
	}
	if a.Operator == "" {
		return Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	var sess *Session
	switch verb {
	case VerbShip, VerbUnship, VerbCommit:
		_, sess, err = s.own(name, a, SessionOpen)
	case VerbPark:
		if _, sess, err = s.own(name, a, SessionOpen); err == nil && sess.Share != 0 {
			err = Errorf(CodeRefused, "%s of the visitors are in the session's preview; take them back first: abt2 rollback --op=%s", sess.Share, a.Operator)
		}
	case VerbUnpark:
		sess, err = s.mayUnpark(p, a, session)
	case VerbRollback:
		want := SessionCommitted
		if x := s.Session(name); x != nil && x.Share != 0 {
			want = SessionOpen
		}
		_, sess, err = s.own(name, a, want)
	case VerbClean:
		_, sess, err = s.own(name, a, "")
		if err == nil && p.Unsettled {
			err = Errorf(CodeRefused, "the switch is not settled yet: unversioned names or jobs still follow; abt2 status shows which, abt2 refresh --op=%s mends", a.Operator)
		}
	}
	if err != nil {
		return err
	}
	switch verb {
	case VerbShip, VerbUnship:
		for _, m := range modules {
			if sess.Targets[m] == nil {
				return Errorf(CodeNotFound, "module %q: nothing was put; put it first: abt2 config put --op=%s --name=%s --path=ARTIFACT; targets: %s", m, a.Operator, m, targetList(sess))
			}
		}
		if len(sess.Targets) == 0 {
			return Errorf(CodeRefused, "nothing was put; put something first: abt2 config put --op=%s --name=MODULE --path=ARTIFACT", a.Operator)
		}
		if c := s.clash(s.trial(p, sess, verb, modules)); c != nil && (sess.Targets[c.first] == nil || sess.Targets[c.second] == nil) {
			m, other := c.first, c.second
			if sess.Targets[m] == nil {
				m, other = other, m
			}
			return Errorf(CodeRefused, "%s would have the prefix %q, which %s has online; put it with another, or take it back: abt2 config drop --op=%s --name=%s", m, c.prefix, other, a.Operator, m)
		} else if c != nil {
			return Errorf(CodeRefused, "%s and %s would both have the prefix %q; %s them together: abt2 %s %s %s --op=%s", c.first, c.second, c.prefix, verb, verb, c.first, c.second, a.Operator)
		}
	case VerbCommit:
		if err := s.ready(p, sess, a); err != nil {
			return err
		}
	}
	if sess != nil {
		s.takeOver(p, sess, a)
	}
	p.Intent = &Intent{Verb: verb, Operator: a.Operator, Identity: a.Identity, Modules: modules, Started: a.Now}
	if verb == VerbUnpark {
		p.Intent.Session = sess.ID
	}
	return nil
}

// ready reports what keeps an open session from being committed.
func (s *State) ready(p *Product, sess *Session, a Actor) error {
	for _, m := range slices.Sorted(maps.Keys(sess.Targets)) {
		t := sess.Targets[m]
		remedy := fmt.Sprintf("ship it: abt2 ship %s --op=%s; or take it back: abt2 config drop --op=%s --name=%s", m, a.Operator, a.Operator, m)
		switch t.State() {
		case TargetPut:
			return Errorf(CodeRefused, "%s is put but not shipped; %s", m, remedy)
		case TargetStale:
			if t.Moved {
				return Errorf(CodeRefused, "%s changed on both sides: users got %s while the session was parked; see that %s has what that brought, then %s",
					m, orRemoved(s.Online(p).Modules[m]), orRemoved(t.Put), remedy)
			}
			return Errorf(CodeRefused, "%s was put again since it was shipped (%s, now %s); ship it: abt2 ship %s --op=%s; or take it down: abt2 unship %s --op=%s",
				m, orRemoved(t.Shipped), orRemoved(t.Put), m, a.Operator, m, a.Operator)
		case TargetFailed:
			return Errorf(CodeRefused, "%s failed to ship (%s); put a mended build and %s", m, t.Failure, remedy)
		}
	}
	if sess.Preview == 0 {
		return Errorf(CodeRefused, "nothing is shipped, so there is nothing to switch to; abt2 ship all --op=%s", a.Operator)
	}
	return nil
}

func orRemoved(v VersionID) string {
	if v.IsZero() {
		return "removed"
	}
	return v.String()
}

// trial is the preview that ship or unship leads to if all goes well.
func (s *State) trial(p *Product, sess *Session, verb Verb, modules []ModuleName) map[ModuleName]VersionID {
	targets := cloneEach(sess.Targets, func(t Target) *Target { return &t })
	for m, t := range targets {
		switch {
		case len(modules) > 0 && !slices.Contains(modules, m):
		case verb == VerbUnship:
			t.Shipped, t.Removed = VersionID{}, false
		default:
			t.Shipped, t.Removed = t.Put, t.Put.IsZero()
		}
	}
	out, _ := s.shipped(p, targets)
	return out
}

// End takes the intent away: the verb is done, or is dropped before its point of no return.
func (s *State) End(name ProductName) {
	if p := s.Products[name]; p != nil {
		p.Intent = nil
	}
}

// intent returns the product at work on the verb, which must not be decided yet.
func (s *State) intent(name ProductName, verb Verb) (*Product, *Session, Actor, error) {
	p, err := s.Product(name)
	if err != nil {
		return nil, nil, Actor{}, err
	}
	if p.Intent == nil || p.Intent.Verb != verb || p.Intent.Decided {
		return nil, nil, Actor{}, Errorf(CodeRefused, "%s is no longer at work on %s: another verb took over; look: abt2 status", verb, name)
	}
	return p, s.Sessions[p.Session], Actor{Operator: p.Intent.Operator, Identity: p.Intent.Identity}, nil
}

// Shipped ends the work of ship: these versions are healthy, those failed. A
// new preview replaces the old one, which retires. It decides the intent.
func (s *State) Shipped(name ProductName, a Actor, healthy []VersionID, failed map[VersionID]string) error {
	p, sess, by, err := s.intent(name, VerbShip)
	if err != nil {
		return err
	}
	by.Now = a.Now
	p.Intent.Decided = true
	for v, why := range failed {
		if t := sess.Targets[v.Module]; t != nil && t.Put == v {
			t.Failure = why
		}
	}
	asked := func(m ModuleName) bool { return len(p.Intent.Modules) == 0 || slices.Contains(p.Intent.Modules, m) }
	before := map[ModuleName]Target{}
	for _, v := range healthy {
		if t := sess.Targets[v.Module]; t != nil && t.Put == v {
			before[v.Module] = *t
			t.Shipped, t.Removed, t.Moved, t.Failure = v, false, false, ""
		}
	}
	for m, t := range sess.Targets {
		if t.Put.IsZero() && asked(m) {
			t.Shipped, t.Removed, t.Moved, t.Failure = VersionID{}, true, false, ""
		}
	}
	s.holdBack(p, sess, before)
	share := sess.Share
	s.rebuild(p, sess)
	s.record(by, p, "ship", p.Online, sess.Preview, shipText(sess, healthy, failed)+endedText(share, sess))
	return nil
}

// holdBack leaves out of the preview, as failed, what would have the same prefix
// as a module whose own change failed. before are the targets that have become
// shipped, as they were: without them no two prefixes were the same.
func (s *State) holdBack(p *Product, sess *Session, before map[ModuleName]Target) {
	for len(before) > 0 {
		modules, _ := s.shipped(p, sess.Targets)
		c := s.clash(modules)
		if c == nil {
			return
		}
		m, other := c.second, c.first
		if _, changed := before[m]; !changed {
			m, other = other, m
		}
		t := before[m]
		delete(before, m)
		t.Failure = fmt.Sprintf("%s still has the prefix %q", other, c.prefix)
		sess.Targets[m] = &t
	}
}

func shipText(sess *Session, healthy []VersionID, failed map[VersionID]string) string {
	var parts []string
	for _, v := range healthy {
		if t := sess.Targets[v.Module]; t != nil && t.Shipped == v {
			parts = append(parts, v.String())
		} else if t != nil && t.Put == v {
			parts = append(parts, v.String()+" failed: "+t.Failure)
		}
	}
	for _, v := range slices.SortedFunc(maps.Keys(failed), compareVersions) {
		parts = append(parts, v.String()+" failed: "+failed[v])
	}
	return strings.Join(parts, ", ")
}

// endedText tells that a new preview has ended the share that went to the one before.
func endedText(share Share, sess *Session) string {
	if share == sess.Share {
		return ""
	}
	return " (" + share.String() + " of the visitors are back)"
}

func compareVersions(a, b VersionID) int {
	switch {
	case a.Module != b.Module && a.Module < b.Module, a.Module == b.Module && a.Number < b.Number:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// Unshipped takes targets out of the preview again; their puts remain. It decides the intent.
func (s *State) Unshipped(name ProductName, a Actor) error {
	p, sess, by, err := s.intent(name, VerbUnship)
	if err != nil {
		return err
	}
	by.Now = a.Now
	p.Intent.Decided = true
	for m, t := range sess.Targets {
		if len(p.Intent.Modules) == 0 || slices.Contains(p.Intent.Modules, m) {
			t.Shipped, t.Removed, t.Failure = VersionID{}, false, ""
		}
	}
	from, share := sess.Preview, sess.Share
	s.rebuild(p, sess)
	s.record(by, p, "unship", from, sess.Preview, endedText(share, sess))
	return nil
}

// shipped is what an environment names that has these targets on top of what is
// online; changed tells whether there are any.
func (s *State) shipped(p *Product, targets map[ModuleName]*Target) (modules map[ModuleName]VersionID, changed bool) {
	modules = maps.Clone(s.Online(p).Modules)
	for m, t := range targets {
		switch {
		case t.Removed:
			delete(modules, m)
			changed = true
		case !t.Shipped.IsZero():
			modules[m] = t.Shipped
			changed = true
		}
	}
	return modules, changed
}

// rebuild makes the preview name what is shipped; without anything shipped there is none.
func (s *State) rebuild(p *Product, sess *Session) {
	modules, shipped := s.shipped(p, sess.Targets)
	if old := s.Environments[sess.Preview]; old != nil {
		if shipped && maps.Equal(old.Modules, modules) {
			return
		}
		s.retire(p, old.ID)
	}
	sess.Preview, sess.Share = 0, 0 // nobody has agreed to show visitors another one
	if shipped {
		sess.Preview = s.newEnvironment(p.Name, modules).ID
	}
}

// Commit makes the preview online: the point of no return of the verb.
func (s *State) Commit(name ProductName, a Actor) error {
	p, sess, by, err := s.intent(name, VerbCommit)
	if err != nil {
		return err
	}
	if err := s.ready(p, sess, by); err != nil {
		return err
	}
	if p.Intent.Share != 0 {
		return Errorf(CodeRefused, "commit is at work for %s of the visitors, not for all; look: abt2 status", p.Intent.Share)
	}
	by.Now = a.Now
	p.Intent.Decided = true
	p.Backup, p.Online = p.Online, sess.Preview
	p.Unsettled, sess.Share = true, 0
	sess.State, sess.WasOnline, sess.Changed = SessionCommitted, sess.Preview, a.Now
	for m, t := range sess.Targets {
		mod := s.Modules[m]
		mod.Released = t.Put
		if v := s.Versions[t.Put]; v != nil && v.Config.Kind == KindService && mod.Owner == "" {
			mod.Owner = name
			if v.Config.Compat != "" {
				mod.Owner = v.Config.Compat
			}
		}
	}
	s.Releases = append(s.Releases, p.Online)
	s.record(by, p, "commit", p.Backup, p.Online, sess.Description)
	return nil
}

// Rollback makes the environment before the last commit online again, exactly
// as it was: the point of no return of the verb. The session is open again and
// its preview still up. Where only a share of the visitors went to the preview,
// that ends.
func (s *State) Rollback(name ProductName, a Actor) error {
	p, sess, by, err := s.intent(name, VerbRollback)
	if err != nil {
		return err
	}
	by.Now = a.Now
	p.Intent.Decided = true
	if sess.State == SessionOpen {
		s.record(by, p, "rollback", sess.Preview, p.Online, "of "+sess.Share.String()+" of the visitors")
		sess.Share = 0
		return nil
	}
	from := p.Online
	p.Online, p.Backup = p.Backup, 0
	p.Unsettled = true
	sess.State, sess.Changed = SessionOpen, a.Now
	for m, t := range sess.Targets {
		s.Modules[m].Released = t.Prior
	}
	s.record(by, p, "rollback", from, p.Online, "")
	return nil
}

// Clean ends the session: the backup of a committed one retires, the preview
// of an open one. It decides the intent.
func (s *State) Clean(name ProductName, a Actor) error {
	p, sess, by, err := s.intent(name, VerbClean)
	if err != nil {
		return err
	}
	by.Now = a.Now
	p.Intent.Decided = true
	var gone EnvironmentID
	if sess.State == SessionCommitted {
		gone, p.Backup = p.Backup, 0
	} else {
		gone = sess.Preview
	}
	s.retire(p, gone)
	s.record(by, p, "clean", gone, p.Online, string(sess.State))
	delete(s.Sessions, sess.ID)
	p.Session = 0
	return nil
}

// SetScale sets how many instances of each version of a module run, at once.
// That many run then: what operators have stopped of it before is forgotten.
func (s *State) SetScale(name ProductName, a Actor, scale map[ModuleName]int) error {
	for _, m := range slices.Sorted(maps.Keys(scale)) {
		switch n := scale[m]; {
		case s.module(m) == nil:
			return s.unknownModule(m)
		case n < 1 || n > MaxScale:
			return Errorf(CodeInvalid, "%s=%d: must be 1 to %d; to stop a module: abt2 config remove --name=%s", m, n, MaxScale, m)
		case s.Modules[m].Versions > 0 && !s.everRun(s.Modules[m]):
			return Errorf(CodeRefused, "%s=%d: all versions of the module are external, and abt2 does not start them; start more where they run, and put their addresses", m, n)
		}
	}
	p, err := s.operate(name, a)
	if err != nil {
		return err
	}
	for _, m := range slices.Sorted(maps.Keys(scale)) {
		s.record(a, p, "scale", p.Online, p.Online, fmt.Sprintf("%s %d → %d", m, s.Modules[m].Scale, scale[m]))
		s.Modules[m].Scale, s.Modules[m].Stopped = scale[m], nil
	}
	return nil
}

// MaxScale bounds the instances of one version.
const MaxScale = 1000

// Settled records that unversioned names and jobs have followed the switch.
func (s *State) Settled(name ProductName, online EnvironmentID) {
	if p := s.Products[name]; p != nil && p.Online == online {
		p.Unsettled = false
	}
}

// KeptArtifacts returns the digests of artifacts that a live environment, a
// session or one of the last releases names. All others may be removed.
func (s *State) KeptArtifacts(releases int) map[string]bool {
	out := map[string]bool{}
	keep := func(v VersionID) {
		if ver := s.Versions[v]; ver != nil {
			out[ver.Artifact.Digest] = true
		}
	}
	for v := range s.InUse() {
		keep(v)
	}
	for _, sess := range s.Sessions {
		for _, t := range sess.Targets {
			keep(t.Put)
			keep(t.Shipped)
		}
	}
	for _, id := range s.Releases[max(0, len(s.Releases)-releases):] {
		for _, v := range s.Environments[id].Modules {
			keep(v)
		}
	}
	for _, m := range s.Modules {
		keep(m.Released)
	}
	return out
}
