package abt2

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SessionsOf returns the product's sessions that hold an environment: its open or
// committed one first, then those that are parked, the oldest first.
func (s *State) SessionsOf(p *Product) []*Session {
	var out []*Session
	if sess := s.Sessions[p.Session]; sess != nil {
		out = append(out, sess)
	}
	return append(out, s.Parked(p)...)
}

// Parked returns the product's parked sessions, the oldest first.
func (s *State) Parked(p *Product) []*Session {
	var out []*Session
	for _, id := range p.Parked {
		if sess := s.Sessions[id]; sess != nil {
			out = append(out, sess)
		}
	}
	return out
}

// Previews returns what the product's open and parked sessions have built, the
// open session's first.
func (s *State) Previews(p *Product) []*Environment {
	var out []*Environment
	for _, sess := range s.SessionsOf(p) {
		if e := s.Environments[sess.Preview]; e != nil && sess.State != SessionCommitted {
			out = append(out, e)
		}
	}
	return out
}

// Selecting returns the session whose token selects the environment, or nil.
func (s *State) Selecting(e *Environment) *Session {
	p := s.Products[e.Product]
	if p == nil {
		return nil
	}
	for _, sess := range s.SessionsOf(p) {
		if s.Selected(sess) == e.ID {
			return sess
		}
	}
	return nil
}

// Selected is the environment that the session's token selects: the backup once
// the session is committed, before that its preview. Zero: none.
func (s *State) Selected(sess *Session) EnvironmentID {
	if p := s.Products[sess.Product]; p != nil && sess.State == SessionCommitted {
		return p.Backup
	}
	return sess.Preview
}

// FindParked returns the parked session of an id; zero means the only one.
func (s *State) FindParked(p *Product, id SessionID) (*Session, error) {
	parked := s.Parked(p)
	switch {
	case len(parked) == 0:
		return nil, Errorf(CodeRefused, "no session of %s is parked; look: abt2 status", p.Name)
	case id == 0 && len(parked) == 1:
		return parked[0], nil
	case id == 0:
		return nil, Errorf(CodeInvalid, "--session %q: %d sessions are parked, name one: %s", "", len(parked), parkedList(parked))
	}
	for _, sess := range parked {
		if sess.ID == id {
			return sess, nil
		}
	}
	return nil, Errorf(CodeNotFound, "--session %d: is not parked; parked: %s", id, parkedList(parked))
}

func parkedList(parked []*Session) string {
	var out []string
	for _, sess := range parked {
		out = append(out, fmt.Sprintf("%d of %s", sess.ID, sess.Operator))
	}
	return strings.Join(out, ", ")
}

// mayUnpark returns the parked session that the actor may go on with.
func (s *State) mayUnpark(p *Product, a Actor, id SessionID) (*Session, error) {
	sess, err := s.FindParked(p, id)
	if err != nil {
		return nil, err
	}
	if sess.Operator != a.Operator && !a.Takeover {
		return nil, ownedBy(sess)
	}
	if other := s.Sessions[p.Session]; other != nil {
		return nil, inTheWay(other)
	}
	return sess, nil
}

// Park sets the open session aside: its preview stays up under its cookie, and
// the product is free for another session. It decides the intent.
func (s *State) Park(name ProductName, a Actor) error {
	p, sess, by, err := s.intent(name, VerbPark)
	if err != nil {
		return err
	}
	by.Now = a.Now
	p.Intent.Decided = true
	s.record(by, p, "park", p.Online, sess.Preview, sess.Description)
	sess.State, sess.Changed = SessionParked, a.Now
	p.Session = 0
	p.Parked = append(p.Parked, sess.ID)
	slices.Sort(p.Parked)
	return nil
}

// Unpark opens a parked session again, on what is online by now. Where users
// have got another version of one of its modules meanwhile, that target is not
// shipped any more and Moved says so; a target that is online by now is dropped;
// one whose prefix somebody else has by now fails. A preview that this changes
// is built anew, under the same token, and the old one retires. It decides the intent.
func (s *State) Unpark(name ProductName, a Actor) error {
	p, _, by, err := s.intent(name, VerbUnpark)
	if err != nil {
		return err
	}
	sess, err := s.mayUnpark(p, Actor{Operator: by.Operator, Takeover: true}, p.Intent.Session)
	if err != nil {
		return err
	}
	by.Now = a.Now
	p.Intent.Decided = true
	from := sess.Base
	p.Parked = slices.DeleteFunc(p.Parked, func(id SessionID) bool { return id == sess.ID })
	p.Session = sess.ID
	sess.State, sess.Changed = SessionOpen, a.Now
	s.rebase(p, sess)
	s.record(by, p, "unpark", from, p.Online, unparkText(sess))
	return nil
}

// rebase puts the session's targets on top of what is online now.
func (s *State) rebase(p *Product, sess *Session) {
	base, online := s.Environments[sess.Base], s.Online(p)
	sess.Base = online.ID
	shipped := map[ModuleName]Target{} // without these no two prefixes are the same
	for m, t := range sess.Targets {
		now, there := online.Modules[m]
		moved := base.Modules[m] != now
		// A target that wants what is online already, and had shipped something
		// else, stays where nothing has moved: the next ship takes it back.
		if moved && (t.Put.IsZero() && !there || !t.Put.IsZero() && now == t.Put) {
			delete(sess.Targets, m)
			continue
		}
		t.Prior = s.Modules[m].Released
		if moved {
			t.Shipped, t.Removed, t.Moved = VersionID{}, false, true
		} else if !t.Shipped.IsZero() {
			without := *t
			without.Shipped, without.Removed = VersionID{}, false
			shipped[m] = without
		}
	}
	s.holdBack(p, sess, shipped)
	s.rebuild(p, sess)
	if sess.WasOnline != sess.Preview {
		sess.WasOnline = 0
	}
}

// MovedModules returns the session's modules of which users have got another
// version while it was parked: each must be shipped again.
func (sess *Session) MovedModules() []ModuleName {
	var out []ModuleName
	for _, m := range slices.Sorted(maps.Keys(sess.Targets)) {
		if sess.Targets[m].Moved {
			out = append(out, m)
		}
	}
	return out
}

func unparkText(sess *Session) string {
	var names []string
	for _, m := range sess.MovedModules() {
		names = append(names, string(m))
	}
	if len(names) == 0 {
		return sess.Description
	}
	return "changed on both sides, to be shipped again: " + strings.Join(names, ", ")
}
