package abt2

import (
	"maps"
	"slices"
	"time"
)

// State is everything abt2 believes. Its methods are the rules: each either
// changes the state as a whole or returns an Error and changes nothing. State
// does no I/O and is not safe for concurrent use; whoever stores it makes the
// outcome of one method one transaction.
type State struct {
	Epoch        string                         `json:"epoch"` // random, made at init and at restore
	Products     map[ProductName]*Product       `json:"products"`
	Modules      map[ModuleName]*Module         `json:"modules"`
	Versions     map[VersionID]*Version         `json:"versions"`
	Environments map[EnvironmentID]*Environment `json:"environments"`
	Sessions     map[SessionID]*Session         `json:"sessions"` // open, committed and parked ones
	// LastEnvironment and LastSession are the highest ids given so far.
	LastEnvironment EnvironmentID `json:"last_environment"`
	LastSession     SessionID     `json:"last_session"`
	// Releases are the environments that have been online, the newest last.
	Releases []EnvironmentID `json:"releases"`
	// Routers are the processes that route, connected or not, by id: what a
	// server that starts has to wait for before a switch.
	Routers []Router `json:"routers,omitempty"`
	// Events are those that the methods have produced and the store has not yet
	// taken, in order, without Seq.
	Events []Event `json:"-"`
}

// NewState returns the state of a fresh installation: the default product,
// online with the empty environment.
func NewState(epoch string) *State {
	s := &State{
		Epoch:        epoch,
		Products:     map[ProductName]*Product{},
		Modules:      map[ModuleName]*Module{},
		Versions:     map[VersionID]*Version{},
		Environments: map[EnvironmentID]*Environment{},
		Sessions:     map[SessionID]*Session{},
	}
	e := s.newEnvironment(DefaultProduct, map[ModuleName]VersionID{})
	s.Products[DefaultProduct] = &Product{Name: DefaultProduct, Online: e.ID}
	return s
}

// Clone returns a copy on which rules can be tried: nothing that a rule can
// change is shared. Versions and environments never change once made, so the
// copy names the same ones.
func (s *State) Clone() *State {
	c := *s
	c.Products = cloneEach(s.Products, func(p Product) *Product {
		p.Hosts, p.Parked, p.Retiring = slices.Clone(p.Hosts), slices.Clone(p.Parked), slices.Clone(p.Retiring)
		p.Groups = maps.Clone(p.Groups) // a list is replaced, never changed
		if p.Intent != nil {
			i := *p.Intent
			i.Modules = slices.Clone(i.Modules)
			p.Intent = &i
		}
		return &p
	})
	c.Modules = cloneEach(s.Modules, func(m Module) *Module { return &m })
	c.Sessions = cloneEach(s.Sessions, func(x Session) *Session {
		x.Targets = cloneEach(x.Targets, func(t Target) *Target { return &t })
		return &x
	})
	c.Versions, c.Environments = maps.Clone(s.Versions), maps.Clone(s.Environments)
	c.Releases, c.Routers, c.Events = slices.Clone(s.Releases), slices.Clone(s.Routers), slices.Clone(s.Events)
	return &c
}

func cloneEach[K comparable, V any](m map[K]*V, clone func(V) *V) map[K]*V {
	out := make(map[K]*V, len(m))
	for k, v := range m {
		out[k] = clone(*v)
	}
	return out
}

// Actor is who asks for a change.
type Actor struct {
	Operator string    // a name for people, from --op
	Identity string    // the credential that was shown
	Takeover bool      // become the session's owner
	Now      time.Time // for display
}

// Product returns the product of that name.
func (s *State) Product(name ProductName) (*Product, error) {
	p := s.Products[name]
	if p == nil {
		return nil, Errorf(CodeNotFound, "product %q: does not exist; known: %v", name, slices.Sorted(maps.Keys(s.Products)))
	}
	return p, nil
}

// Session returns the product's open or committed session, or nil.
func (s *State) Session(name ProductName) *Session {
	if p := s.Products[name]; p != nil {
		return s.Sessions[p.Session]
	}
	return nil
}

// Online returns the product's online environment.
func (s *State) Online(p *Product) *Environment { return s.Environments[p.Online] }

// Preview returns the environment that the product's open session built, or nil.
func (s *State) Preview(p *Product) *Environment {
	if sess := s.Sessions[p.Session]; sess != nil && sess.State == SessionOpen {
		return s.Environments[sess.Preview]
	}
	return nil
}

// Role says what the environment is to its product.
func (s *State) Role(id EnvironmentID) Role {
	e := s.Environments[id]
	if e == nil {
		return RoleRetired
	}
	p := s.Products[e.Product]
	switch {
	case p == nil:
		return RoleRetired
	case p.Online == id:
		return RoleOnline
	case p.Backup == id:
		return RoleBackup
	case slices.Contains(s.Previews(p), e):
		return RolePreview
	}
	return RoleRetired
}

// Live returns the environments that routers must know: online, backup and
// retiring ones of all products, and the previews of open and parked sessions, by id.
func (s *State) Live() []*Environment {
	ids := map[EnvironmentID]bool{}
	for _, p := range s.Products {
		ids[p.Online], ids[p.Backup] = true, true
		for _, e := range s.Previews(p) {
			ids[e.ID] = true
		}
		for _, id := range p.Retiring {
			ids[id] = true
		}
	}
	delete(ids, 0)
	var out []*Environment
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		out = append(out, s.Environments[id])
	}
	return out
}

// InUse returns the versions that some live environment names.
func (s *State) InUse() map[VersionID]bool {
	out := map[VersionID]bool{}
	for _, e := range s.Live() {
		for _, v := range e.Modules {
			out[v] = true
		}
	}
	return out
}

// newEnvironment gives the next id to a set of versions.
func (s *State) newEnvironment(p ProductName, modules map[ModuleName]VersionID) *Environment {
	s.LastEnvironment++
	e := &Environment{ID: s.LastEnvironment, Product: p, Modules: modules}
	s.Environments[e.ID] = e
	return e
}

// retire takes an environment out of use; routers may still carry it.
func (s *State) retire(p *Product, id EnvironmentID) {
	if id != 0 && !slices.Contains(p.Retiring, id) {
		p.Retiring = append(p.Retiring, id)
	}
}

// Drained forgets a retiring environment once no router carries it.
func (s *State) Drained(name ProductName, id EnvironmentID) {
	if p := s.Products[name]; p != nil {
		p.Retiring = slices.DeleteFunc(p.Retiring, func(e EnvironmentID) bool { return e == id })
		s.forgetStopped()
	}
}

func (s *State) record(a Actor, p *Product, verb string, from, to EnvironmentID, text string) {
	s.Events = append(s.Events, Event{
		Time: a.Now, Product: p.Name, Session: p.Session, Operator: a.Operator, Identity: a.Identity,
		Verb: verb, From: from, To: to, Text: text,
	})
}
