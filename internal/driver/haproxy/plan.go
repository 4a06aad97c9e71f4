package haproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"abt2.dev"
)

// plan is what routes come to in HAProxy's terms. It depends on nothing else.
type plan struct {
	entries  map[string]string // of the map
	backends []backend         // by version
}

// backend is a version that users can reach.
type backend struct {
	name    string // without the prefix of its protocol
	servers []server
}

type server struct {
	name    string
	address netip.AddrPort
}

// What an entry of the map is about. A request asks for three of them: by host
// which product and environment, by token which environment in its place, and
// by environment and path which version. What an environment leads to is never
// changed but gets another key, so that three answers, of which some are newer,
// still make a way that is whole.
const (
	keyMode  = "mode" // modeHere, or modeHandover in a process that was replaced
	keyHost  = "h|"   // + host, or anyHost: product|environment key
	keyToken = "t|"   // + digest: product|environment key|role
	keyRoute = "e|"   // + environment key + | + prefix + /: version|backend|how
	keyNote  = "n|"   // + number: a part of the note

	anyHost = "*"

	modeHere     = "here"
	modeHandover = "handover"

	// emptyKey stands in an environment key for an environment without modules.
	emptyKey = "none"
	// standIn says that a route leads to the online version in place of its own.
	standIn = "fallback"
)

// Every version has two backends: modules speak HTTP/1.1, and HTTP/2 for gRPC.
const (
	plainPrefix = "v:"
	grpcPrefix  = "g:"
)

func backendName(v abt2.VersionID) string {
	return escape(string(v.Module)) + "." + versionNumber(v)
}

func versionNumber(v abt2.VersionID) string {
	_, n, _ := strings.Cut(v.String(), "@")
	return n
}

// compile makes a plan of routes, or refuses what HAProxy could misread.
func compile(r abt2.EdgeRoutes) (*plan, error) {
	c := &compiler{
		plan:     &plan{entries: map[string]string{keyMode: modeHere}},
		versions: map[abt2.VersionID]*abt2.TableVersion{}, environments: map[abt2.EnvironmentID]*abt2.TableEnvironment{},
		products: map[abt2.ProductName]*abt2.TableProduct{}, keys: map[abt2.EnvironmentID]string{},
	}
	t := &r.Table
	for i := range t.Versions {
		if err := c.version(&t.Versions[i]); err != nil {
			return nil, err
		}
	}
	for i := range t.Environments {
		c.environments[t.Environments[i].ID] = &t.Environments[i]
	}
	for i := range t.Products {
		c.products[t.Products[i].Name] = &t.Products[i]
	}
	for i := range t.Environments {
		c.environment(&t.Environments[i])
	}
	for i := range t.Products {
		if err := c.product(&t.Products[i]); err != nil {
			return nil, err
		}
	}
	for digest, id := range r.Tokens {
		if err := c.token(digest, id); err != nil {
			return nil, err
		}
	}
	return c.plan, nil
}

type compiler struct {
	*plan
	versions     map[abt2.VersionID]*abt2.TableVersion
	environments map[abt2.EnvironmentID]*abt2.TableEnvironment
	products     map[abt2.ProductName]*abt2.TableProduct
	keys         map[abt2.EnvironmentID]string
}

func (c *compiler) version(v *abt2.TableVersion) error {
	if v.Prefix == "" {
		return nil // not reached through a gateway
	}
	if err := v.ID.Module.Validate(); err != nil {
		return err
	}
	if err := checkWord("prefix of "+v.ID.String(), v.Prefix, "|"); err != nil {
		return err
	}
	c.versions[v.ID] = v
	b := backend{name: backendName(v.ID)}
	for _, i := range v.Instances {
		a, err := netip.ParseAddrPort(i.Address)
		if err != nil || a.Addr().Zone() != "" {
			return abt2.Errorf(abt2.CodeInvalid, "address %q of %s: must be ip:port, since HAProxy would look a name up only once", i.Address, i.ID)
		}
		if i.ID == "" {
			return abt2.Errorf(abt2.CodeInvalid, "instance of %s at %s: must have an id", v.ID, i.Address)
		}
		b.servers = append(b.servers, server{escape(string(i.ID)), a})
	}
	c.backends = append(c.backends, b)
	return nil
}

// environment makes the routes of an environment. Their key holds a digest of
// them.
func (c *compiler) environment(e *abt2.TableEnvironment) {
	type route struct{ path, value string }
	var routes []route
	digest := sha256.New()
	for _, id := range e.Modules {
		v := c.versions[id]
		if v == nil {
			continue
		}
		how := ""
		if other := c.fallback(e, v); other != nil {
			v, how = other, standIn
		}
		r := route{strings.TrimSuffix(c.versions[id].Prefix, "/") + "/", v.ID.String() + "|" + backendName(v.ID) + "|" + how}
		routes = append(routes, r)
		digest.Write([]byte(r.path + " " + r.value + "\n"))
	}
	key := e.ID.String() + "~" + emptyKey
	if len(e.Modules) > 0 {
		key = e.ID.String() + "~" + hex.EncodeToString(digest.Sum(nil)[:6])
	}
	c.keys[e.ID] = key
	for _, r := range routes {
		c.entries[keyRoute+key+"|"+r.path] = r.value
	}
}

// fallback is the online version that stands in for one without instances, nil
// where it is not to.
func (c *compiler) fallback(e *abt2.TableEnvironment, v *abt2.TableVersion) *abt2.TableVersion {
	p := c.products[e.Product]
	if len(v.Instances) > 0 || v.Fallback != abt2.FallbackOnline || e.WasOnline || p == nil || p.Online == e.ID {
		return nil
	}
	online := c.environments[p.Online]
	if online == nil {
		return nil
	}
	for _, id := range online.Modules {
		if other := c.versions[id]; id.Module == v.ID.Module && other != nil && len(other.Instances) > 0 {
			return other
		}
	}
	return nil
}

func (c *compiler) product(p *abt2.TableProduct) error {
	if err := p.Name.Validate(); err != nil {
		return err
	}
	key, ok := c.keys[p.Online]
	if !ok {
		key = p.Online.String() + "~" + emptyKey
	}
	value := string(p.Name) + "|" + key
	if p.Name == abt2.DefaultProduct {
		c.entries[keyHost+anyHost] = value
	}
	for _, h := range p.Hosts {
		if err := checkWord("host of "+string(p.Name), h, "|*"); err != nil {
			return err
		}
		c.entries[keyHost+strings.ToLower(h)] = value
	}
	return nil
}

func (c *compiler) token(digest abt2.TokenDigest, id abt2.EnvironmentID) error {
	if b, err := hex.DecodeString(string(digest)); err != nil || len(b) != sha256.Size/2 {
		return abt2.Errorf(abt2.CodeInvalid, "the token digest of environment %d must have %d hexadecimal digits", id, sha256.Size)
	}
	e := c.environments[id]
	if e == nil || c.products[e.Product] == nil {
		return abt2.Errorf(abt2.CodeInvalid, "a token selects environment %d, which the table lacks", id)
	}
	c.entries[keyToken+string(digest)] = string(e.Product) + "|" + c.keys[id] + "|" + string(roleOf(c.products[e.Product], id))
	return nil
}

func roleOf(p *abt2.TableProduct, id abt2.EnvironmentID) abt2.Role {
	switch id {
	case p.Online:
		return abt2.RoleOnline
	case p.Backup:
		return abt2.RoleBackup
	case p.Preview:
		return abt2.RolePreview
	}
	return abt2.RoleRetired
}

// lines returns the entries as lines of a map file, sorted.
func lines(entries map[string]string) []string {
	out := make([]string, 0, len(entries))
	for k, v := range entries {
		out = append(out, k+" "+v)
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}
