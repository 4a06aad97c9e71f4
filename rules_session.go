package abt2

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// own returns the product and its session, which must be in the given state
// and belong to the actor. With a.Takeover the actor becomes its owner.
func (s *State) own(name ProductName, a Actor, want SessionState) (*Product, *Session, error) {
	p, err := s.Product(name)
	if err != nil {
		return nil, nil, err
	}
	if a.Operator == "" {
		return nil, nil, Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	sess := s.Sessions[p.Session]
	if parked := s.Parked(p); sess == nil && len(parked) > 0 {
		return nil, nil, Errorf(CodeRefused, "no session is open; go on with one that is parked (%s): abt2 unpark --op=%s; or open one: abt2 start create --op=%s", parkedList(parked), a.Operator, a.Operator)
	}
	if sess == nil {
		return nil, nil, Errorf(CodeRefused, "no session is open; open one: abt2 start create --op=%s", a.Operator)
	}
	if sess.Operator != a.Operator && !a.Takeover {
		return nil, nil, ownedBy(sess)
	}
	if want != "" && sess.State != want {
		return nil, nil, wrongState(sess, a)
	}
	return p, sess, nil
}

func ownedBy(sess *Session) error {
	return Errorf(CodeOwner, "session %d belongs to %s (%s); ask %s, or add --takeover", sess.ID, sess.Operator, describe(sess), sess.Operator)
}

// takeOver makes the actor the owner of a session that own has let through.
func (s *State) takeOver(p *Product, sess *Session, a Actor) {
	if sess.Operator == a.Operator {
		return
	}
	s.record(a, p, "takeover", p.Online, p.Online, fmt.Sprintf("session %d taken over from %s", sess.ID, sess.Operator))
	sess.Operator, sess.Identity = a.Operator, a.Identity
}

func describe(sess *Session) string {
	if sess.Description == "" {
		return string(sess.State)
	}
	return fmt.Sprintf("%s, %q", sess.State, sess.Description)
}

// inTheWay refuses a second session beside one that is not parked.
func inTheWay(sess *Session) error {
	remedy := ""
	if sess.State == SessionOpen {
		remedy = ", or set it aside with abt2 park --op=" + sess.Operator
	}
	return Errorf(CodeRefused, "session %d of %s is still there (%s); one session at a time: end it with abt2 clean --op=%s%s", sess.ID, sess.Operator, describe(sess), sess.Operator, remedy)
}

func wrongState(sess *Session, a Actor) error {
	if sess.State == SessionCommitted {
		return Errorf(CodeRefused, "session %d is committed: end it with abt2 clean --op=%s, or go back with abt2 rollback --op=%s", sess.ID, a.Operator, a.Operator)
	}
	return Errorf(CodeRefused, "session %d is open, not committed: abt2 commit --op=%s moves users to it, abt2 clean --op=%s abandons it", sess.ID, a.Operator, a.Operator)
}

// CreateSession opens a session on a product that has none.
func (s *State) CreateSession(name ProductName, a Actor, description string, token Token) (*Session, error) {
	p, err := s.Product(name)
	if err != nil {
		return nil, err
	}
	if a.Operator == "" {
		return nil, Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	if sess := s.Sessions[p.Session]; sess != nil {
		return nil, inTheWay(sess)
	}
	s.LastSession++
	sess := &Session{
		ID: s.LastSession, Product: name, Operator: a.Operator, Identity: a.Identity, Description: description,
		State: SessionOpen, Base: p.Online, Targets: map[ModuleName]*Target{}, Token: token, Created: a.Now, Changed: a.Now,
	}
	s.Sessions[sess.ID] = sess
	p.Session = sess.ID
	s.record(a, p, "start create", p.Online, p.Online, description)
	return sess, nil
}

// Put is one module's new build, ready to become a version.
type Put struct {
	Module   ModuleName
	Artifact Artifact
	Config   Config
	Scale    int    // first scale, for a module never run before
	Address  string // unversioned name, for a service never seen before
}

// PutOutcome tells what a put led to.
type PutOutcome struct {
	Version VersionID
	Same    bool // already online: there is nothing to ship
}

// PutVersions adds builds to the open session: all of them or none. The same
// content as an earlier version is that version.
func (s *State) PutVersions(name ProductName, a Actor, puts []Put) ([]PutOutcome, error) {
	_, sess, err := s.own(name, a, SessionOpen)
	if err != nil {
		return nil, err
	}
	named := map[ModuleName]bool{}
	for _, put := range puts {
		if err := put.Module.Validate(); err != nil {
			return nil, err
		}
		if named[put.Module] {
			return nil, Errorf(CodeInvalid, "module %q: is put twice at once; keep one of them", put.Module)
		}
		named[put.Module] = true
		if err := s.checkNewModule(put.Module); err != nil {
			return nil, err
		}
		if m := s.Modules[put.Module]; m != nil && !m.Released.IsZero() {
			if k := s.Versions[m.Released].Config.Kind; k != put.Config.Kind {
				return nil, Errorf(CodeInvalid, "%s: kind %q: the module was released as %s, and callers rely on it; give the new thing another name", put.Module, put.Config.Kind, k)
			}
		}
	}
	next := s.Clone() // so that a clash found late changes nothing
	np, ns := next.Products[name], next.Sessions[sess.ID]
	var out []PutOutcome
	for _, put := range puts {
		v := next.version(put, a)
		out = append(out, next.target(np, ns, v))
		next.record(a, np, "config put", np.Online, np.Online, v.String())
	}
	if c := next.clash(next.wanted(np, ns)); c != nil {
		return nil, Errorf(CodeInvalid, "%s: prefix %q: %s has it already in the same environment; change one of them", c.second, c.prefix, c.first)
	}
	next.takeOver(np, ns, a)
	*s = *next
	return out, nil
}

// version finds or makes the version with this content.
func (s *State) version(put Put, a Actor) VersionID {
	m := s.Modules[put.Module]
	if m == nil {
		m = &Module{Name: put.Module, Scale: max(put.Scale, 1)}
		s.Modules[put.Module] = m
	}
	m.Deleted = false
	if m.Address == "" {
		m.Address = put.Address
	}
	external := len(put.Config.External) > 0
	switch {
	case m.Scale == 0 && !external: // created, and nobody has said how many
		m.Scale = max(put.Scale, 1)
	case put.Scale > 0 && !external && !m.Created && !s.everRun(m):
		m.Scale = put.Scale
	}
	digest := VersionDigest(put.Artifact.Digest, put.Config)
	for n := m.Versions; n > 0; n-- {
		id := VersionID{put.Module, n}
		if v := s.Versions[id]; v != nil && v.Digest == digest {
			return id
		}
	}
	m.Versions++
	v := &Version{ID: VersionID{put.Module, m.Versions}, Digest: digest, Artifact: put.Artifact, Config: put.Config, Created: a.Now}
	s.Versions[v.ID] = v
	return v.ID
}

// everRun reports whether abt2 has been given anything of the module to run:
// its scale is that of the first such put.
func (s *State) everRun(m *Module) bool {
	for n := m.Versions; n > 0; n-- {
		if v := s.Versions[VersionID{m.Name, n}]; v != nil && !v.External() {
			return true
		}
	}
	return false
}

// target makes v what the session wants of its module.
func (s *State) target(p *Product, sess *Session, v VersionID) PutOutcome {
	t := sess.Targets[v.Module]
	if s.Online(p).Names(v) {
		if t == nil || (t.Shipped.IsZero() && !t.Removed) {
			delete(sess.Targets, v.Module)
			return PutOutcome{Version: v, Same: true}
		}
	}
	if t == nil {
		t = &Target{Prior: s.Modules[v.Module].Released}
		sess.Targets[v.Module] = t
	}
	t.Put, t.Moved, t.Failure = v, false, ""
	return PutOutcome{Version: v}
}

// wanted is the environment that the session would make if all of it were shipped.
func (s *State) wanted(p *Product, sess *Session) map[ModuleName]VersionID {
	out := maps.Clone(s.Online(p).Modules)
	for m, t := range sess.Targets {
		if t.Put.IsZero() {
			delete(out, m)
		} else {
			out[m] = t.Put
		}
	}
	return out
}

// prefixClash is a prefix that two modules of an environment would have.
type prefixClash struct {
	prefix        string
	first, second ModuleName
}

// clash returns nil if every prefix belongs to one module only.
func (s *State) clash(modules map[ModuleName]VersionID) *prefixClash {
	seen := map[string]ModuleName{}
	for _, m := range slices.Sorted(maps.Keys(modules)) {
		prefix := s.Versions[modules[m]].Config.Prefix
		if first, taken := seen[prefix]; taken && prefix != "" {
			return &prefixClash{prefix, first, m}
		}
		seen[prefix] = m
	}
	return nil
}

// RemoveModule makes the next preview lack a module.
func (s *State) RemoveModule(name ProductName, a Actor, m ModuleName) error {
	p, sess, err := s.own(name, a, SessionOpen)
	if err != nil {
		return err
	}
	if _, ok := s.Online(p).Modules[m]; !ok {
		return Errorf(CodeNotFound, "module %q: is not online; to take back a put: abt2 config drop --op=%s --name=%s", m, a.Operator, m)
	}
	s.takeOver(p, sess, a)
	t := sess.Targets[m]
	if t == nil {
		t = &Target{Prior: s.Modules[m].Released}
		sess.Targets[m] = t
	}
	t.Put, t.Moved, t.Failure = VersionID{}, false, ""
	s.record(a, p, "config remove", p.Online, p.Online, string(m))
	return nil
}

// Drop takes back a put or a removal that has not been shipped.
func (s *State) Drop(name ProductName, a Actor, m ModuleName) error {
	p, sess, err := s.own(name, a, SessionOpen)
	if err != nil {
		return err
	}
	t := sess.Targets[m]
	switch {
	case t == nil:
		return Errorf(CodeNotFound, "module %q: nothing was put; targets: %s", m, targetList(sess))
	case !t.Shipped.IsZero() || t.Removed:
		return Errorf(CodeRefused, "module %q: is shipped; take it down first: abt2 unship %s --op=%s", m, m, a.Operator)
	}
	s.takeOver(p, sess, a)
	delete(sess.Targets, m)
	s.record(a, p, "config drop", p.Online, p.Online, string(m))
	return nil
}

func targetList(sess *Session) string {
	if len(sess.Targets) == 0 {
		return "none"
	}
	var out []string
	for _, m := range slices.Sorted(maps.Keys(sess.Targets)) {
		out = append(out, string(m))
	}
	return strings.Join(out, ", ")
}
