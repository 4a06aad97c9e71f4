package route

import (
	"net"
	"slices"
	"strings"
)

// Role says what an environment is to its product at this moment.
type Role string

// The roles of an environment.
const (
	RoleOnline  Role = "online"
	RolePreview Role = "preview"
	RoleBackup  Role = "backup"
	RoleRetired Role = "retired" // nothing names it any more; requests on their way may still carry it
)

// FallbackOnline is the Fallback of versions that the online version stands in for.
const FallbackOnline = "online"

// DefaultProduct takes every host that no other product names.
const DefaultProduct = "default"

// Snapshot is one table, made for looking things up. It is immutable and safe
// for concurrent use; nothing reached through it may be changed.
type Snapshot struct {
	mark         Mark
	highest      uint64
	products     map[string]*Product
	hosts        map[string]*Product
	environments environments
	instances    map[string][]*Instance // by module, of all its versions
	names        []Name
}

// Product is a product with its environments. Nil environments: none.
type Product struct {
	Name    string
	Hosts   []string
	Online  *Environment
	Backup  *Environment
	Preview *Environment
	Parked  []*Environment // previews of sessions that are set aside; their Role is preview, too
}

// Environment is an immutable map from module to version.
type Environment struct {
	ID        uint64
	Product   *Product
	Role      Role
	WasOnline bool // users may have been served from it
	// Header and Baggage are the values of header Abt2-Env, and of header baggage
	// when there are no other members, in the form a http.Header holds. Read only.
	Header  []string
	Baggage []string

	versions map[string]*Version
	prefixes []*Version // of kind edge, the longest prefix first
}

// Version is one immutable build and where it can be called.
type Version struct {
	ID        string // order@3
	Module    string
	Kind      string
	Prefix    string
	Fallback  string
	Instances []*Instance
}

// Name is a module's unversioned name.
type Name struct {
	Module  string
	Product *Product // the owner, whose online version stands there
	Address string   // host:port
}

func emptySnapshot() *Snapshot { return &Snapshot{} }

// Mark returns the table's mark.
func (s *Snapshot) Mark() Mark { return s.mark }

// Product returns the product of a name, nil if there is none.
func (s *Snapshot) Product(name string) *Product { return s.products[name] }

// Names returns the unversioned names, sorted by module.
func (s *Snapshot) Names() []Name { return s.names }

// Instances returns the instances of all versions of a module that the table
// holds, whichever environments name them.
func (s *Snapshot) Instances(module string) []*Instance { return s.instances[module] }

// Host returns the product that serves a host, as in a request's Host header:
// the port is ignored, so are case and a final dot. Hosts that no product names
// belong to the default product. The error is an Error of reason NoProduct.
func (s *Snapshot) Host(host string) (*Product, error) {
	if p, ok := s.hosts[host]; ok { // as it mostly comes
		return p, nil
	}
	if p, ok := s.hosts[canonicalHost(host)]; ok {
		return p, nil
	}
	if p, ok := s.products[DefaultProduct]; ok {
		return p, nil
	}
	return nil, &Error{Reason: NoProduct, Module: host}
}

func canonicalHost(host string) string {
	if strings.IndexByte(host, ':') >= 0 { // SplitHostPort allocates an error for most hosts
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Environment returns an environment. The error is an Error of reason Unknown
// or Retired.
func (s *Snapshot) Environment(id uint64) (*Environment, error) {
	if e := s.environments.get(id); e != nil {
		return e, nil
	}
	if id > s.highest || s.mark == (Mark{}) {
		return nil, &Error{Reason: Unknown, Environment: id}
	}
	return nil, &Error{Reason: Retired, Environment: id}
}

// Naming returns the environment that a request without a stamp belongs to, at
// the first router that knows its own version: of the home product, the first
// of online, backup, preview and parked previews that names the version. The
// error is an Error of reason NoVersion.
func (s *Snapshot) Naming(version, product string) (*Environment, error) {
	if p := s.products[product]; p != nil {
		module, _, _ := strings.Cut(version, "@")
		for _, e := range [...]*Environment{p.Online, p.Backup, p.Preview} {
			if e.names(module, version) {
				return e, nil
			}
		}
		for _, e := range p.Parked {
			if e.names(module, version) {
				return e, nil
			}
		}
	}
	return nil, &Error{Reason: NoVersion, Module: version}
}

// names reports whether the environment, nil included, names the version.
func (e *Environment) names(module, version string) bool {
	if e == nil {
		return false
	}
	v := e.versions[module]
	return v != nil && v.ID == version
}

// Version returns the environment's version of a module, nil if it has none.
func (e *Environment) Version(module string) *Version { return e.versions[module] }

// Modules returns the environment's modules in alphabetical order.
func (e *Environment) Modules() []string {
	out := make([]string, 0, len(e.versions))
	for m := range e.versions {
		out = append(out, m)
	}
	slices.Sort(out)
	return out
}

// Route returns the edge module whose prefix the path lies under, the longest
// prefix winning: /api takes /api and /api/x, not /apix. Nil: none. The path is
// compared as it is, without decoding or cleaning.
func (e *Environment) Route(path string) *Version {
	for _, v := range e.prefixes {
		if underPrefix(path, v.Prefix) {
			return v
		}
	}
	return nil
}

func underPrefix(path, prefix string) bool {
	if prefix == "/" {
		return true // also of "*", as OPTIONS asks
	}
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// FallsBack reports whether the online version stands in for a module of this
// environment that has no healthy instance, which is so only while users have
// never been served from the environment.
func (e *Environment) FallsBack(module string) bool {
	v := e.versions[module]
	return v != nil && v.Fallback == FallbackOnline && !e.WasOnline && e.Role != RoleOnline
}
