package bfe

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"abt2.dev"
)

// plan is what routes come to in BFE's terms. It depends on them and on the
// driver's configuration.
type plan struct {
	products  []product
	byDefault string // the product of every other host
	clusters  map[string]cluster
}

type product struct {
	name  string
	hosts []string
	rules []rule // the first that matches counts
}

type rule struct{ condition, cluster string }

// cluster is what BFE sends a request to. What its name says never changes: the
// environment, the module, and, where a token led to it, what the answer says.
// So BFE's one swap of routes decides all that is said of a request, although
// the rules that say it are loaded apart from it.
type cluster struct {
	instances []instance
	grpc      bool
	to        string // what instances are addressed as; empty: they are not
	served    string // what an answer says was served; empty: nothing
}

type instance struct {
	name    string
	address netip.AddrPort
}

// Clusters that stand for no environment.
const (
	nobody = "abt2.nobody" // has no instance: BFE answers 500
	pages  = "abt2.pages"  // the built-in edge behind, which sees requests as they came
)

const grpcLabel = ".grpc"

// spoken are the roles that a token's answer can tell; an environment has a
// cluster for each beforehand, so that a switch only changes routes.
var spoken = []abt2.Role{abt2.RoleOnline, abt2.RoleBackup, abt2.RolePreview}

// productName keeps products apart from BFE's own: it means all by "global".
func productName(p abt2.ProductName) string { return "abt2." + string(p) }

// compile makes a plan of routes, or refuses what BFE could misread.
func (e *Edge) compile(r abt2.EdgeRoutes) (*plan, error) {
	c := &compiler{
		plan:     &plan{clusters: map[string]cluster{nobody: {}}},
		unserved: nobody, webSockets: nobody,
		versions: map[abt2.VersionID]*version{}, environments: map[abt2.EnvironmentID]*abt2.TableEnvironment{},
		products: map[abt2.ProductName]*abt2.TableProduct{}, tokens: map[abt2.ProductName][]token{},
	}
	if e.cfg.Pages != "" {
		address, err := netip.ParseAddrPort(e.cfg.Pages)
		if err != nil {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "address of pages %q: must be ip:port", e.cfg.Pages)
		}
		c.clusters[pages] = cluster{instances: []instance{{"pages", address}}}
		c.unserved = pages
		if e.cfg.WebSockets {
			c.webSockets = pages
		}
	}
	t := &r.Table
	for i := range t.Versions {
		if err := c.version(&t.Versions[i]); err != nil {
			return nil, err
		}
	}
	for i := range t.Products {
		c.products[t.Products[i].Name] = &t.Products[i]
	}
	for i := range t.Environments {
		c.environments[t.Environments[i].ID] = &t.Environments[i]
	}
	for i := range t.Environments {
		c.environment(&t.Environments[i])
	}
	if err := c.selections(r); err != nil {
		return nil, err
	}
	for i := range t.Products {
		if err := c.product(&t.Products[i]); err != nil {
			return nil, err
		}
	}
	return c.plan, c.check()
}

type compiler struct {
	*plan
	unserved, webSockets string // clusters for what nobody serves, and for upgrades
	versions             map[abt2.VersionID]*version
	environments         map[abt2.EnvironmentID]*abt2.TableEnvironment
	products             map[abt2.ProductName]*abt2.TableProduct
	tokens               map[abt2.ProductName][]token
}

type version struct {
	*abt2.TableVersion
	instances []instance
}

type token struct {
	abt2.Token
	env abt2.EnvironmentID
}

func (c *compiler) version(v *abt2.TableVersion) error {
	if v.Prefix == "" {
		return nil // not reached through a gateway
	}
	if err := v.ID.Module.Validate(); err != nil {
		return err
	}
	if err := checkWord("prefix of "+v.ID.String(), v.Prefix, pathRunes); err != nil {
		return err
	}
	out := &version{TableVersion: v}
	for _, i := range v.Instances {
		a, err := netip.ParseAddrPort(i.Address)
		if err != nil || a.Addr().Zone() != "" {
			return abt2.Errorf(abt2.CodeInvalid, "address %q of %s: must be ip:port, since BFE would look a name up for each connection", i.Address, i.ID)
		}
		out.instances = append(out.instances, instance{string(i.ID), a})
	}
	c.versions[v.ID] = out
	return nil
}

// environment makes the clusters of an environment whose versions have instances.
func (c *compiler) environment(e *abt2.TableEnvironment) {
	for _, id := range e.Modules {
		if v := c.versions[id]; v != nil && len(v.instances) > 0 {
			for _, role := range append([]abt2.Role{""}, spoken...) {
				c.add(e.ID, v, role, nil)
			}
		}
	}
}

// add makes the two clusters, HTTP/1.1 and HTTP/2 for gRPC, of a version in an
// environment, and returns the name of the first. standIn is the version that
// serves in its place.
func (c *compiler) add(env abt2.EnvironmentID, v *version, role abt2.Role, standIn *version) string {
	name, cl := env.String()+"."+string(v.ID.Module), cluster{}
	if role != "" {
		name += "." + string(role)
		cl.served = env.String() + " " + string(role)
	}
	if standIn != nil {
		_, number, _ := strings.Cut(standIn.ID.String(), "@")
		name += ".fallback-" + number
		cl.served += "; fallback=" + standIn.ID.String()
		v = standIn
	}
	cl.instances = v.instances
	if !v.External {
		cl.to = v.ID.String()
	}
	c.clusters[name] = cl
	cl.grpc = true
	c.clusters[name+grpcLabel] = cl
	return name
}

// fallback is the online version that stands in for one without instances, nil
// where it is not to.
func (c *compiler) fallback(e *abt2.TableEnvironment, v *version) *version {
	p := c.products[e.Product]
	if v.Fallback != abt2.FallbackOnline || e.WasOnline || p == nil || p.Online == e.ID {
		return nil
	}
	online := c.environments[p.Online]
	if online == nil {
		return nil
	}
	for _, id := range online.Modules {
		if other := c.versions[id]; id.Module == v.ID.Module && other != nil && len(other.instances) > 0 {
			return other
		}
	}
	return nil
}

// selections sorts the tokens to their products.
func (c *compiler) selections(r abt2.EdgeRoutes) error {
	for digest, id := range r.Tokens {
		t, ok := r.Whole[digest]
		if !ok || t.Digest() != digest {
			return abt2.Errorf(abt2.CodeInvalid, "the token that selects environment %d is not given whole, as BFE needs it", id)
		}
		if strings.ContainsFunc(string(t), func(r rune) bool { return !strings.ContainsRune(tokenRunes, r) }) {
			return abt2.Errorf(abt2.CodeInvalid, "the token that selects environment %d: may contain letters, digits and - _ only", id)
		}
		e := c.environments[id]
		if e == nil || c.products[e.Product] == nil {
			return abt2.Errorf(abt2.CodeInvalid, "a token selects environment %d, which the table lacks", id)
		}
		c.tokens[e.Product] = append(c.tokens[e.Product], token{t, id})
	}
	for _, list := range c.tokens {
		slices.SortFunc(list, func(a, b token) int { return cmp.Compare(a.Token, b.Token) })
	}
	return nil
}

const (
	tokenHeader = "Abt2-Token"
	tokenCookie = "abt2"
)

// product makes the rules of a product: where a token leads, of a header before
// that of a cookie, then online.
func (c *compiler) product(p *abt2.TableProduct) error {
	if err := p.Name.Validate(); err != nil {
		return err
	}
	out := product{name: productName(p.Name)}
	if p.Name == abt2.DefaultProduct {
		c.byDefault = out.name
	}
	for _, h := range p.Hosts {
		if err := checkWord("host of "+string(p.Name), h, hostRunes); err != nil {
			return err
		}
		out.hosts = append(out.hosts, strings.ToLower(h))
	}
	slices.Sort(out.hosts)
	out.hosts = slices.Compact(out.hosts)
	add := func(condition, cluster string) { out.rules = append(out.rules, rule{condition, cluster}) }
	if c.unserved == pages {
		add(under(abt2.ReservedPrefix), pages)
	}
	add(isWebSocket, c.webSockets)
	choose := func(selector string, env abt2.EnvironmentID, role abt2.Role) {
		for _, m := range c.reached(env, role) {
			if m.cluster != c.unserved {
				add(and(selector, isGRPC, under(m.prefix)), m.cluster+grpcLabel)
			}
			add(and(selector, under(m.prefix)), m.cluster)
		}
		add(and(selector), c.unserved)
	}
	for _, t := range c.tokens[p.Name] {
		choose(headerIs(tokenHeader, string(t.Token)), t.env, p.Role(t.env))
	}
	choose(hasHeader(tokenHeader), p.Online, abt2.RoleOnline)
	for _, t := range c.tokens[p.Name] {
		choose(cookieIs(tokenCookie, string(t.Token)), t.env, p.Role(t.env))
	}
	choose(and(hasCookie(tokenCookie), not(cookieIs(tokenCookie, ""))), p.Online, abt2.RoleOnline)
	choose("", p.Online, "")
	c.plan.products = append(c.plan.products, out)
	return nil
}

// reach is where a prefix of an environment leads.
type reach struct{ prefix, cluster string }

// reached lists an environment's prefixes, the longest first.
func (c *compiler) reached(id abt2.EnvironmentID, role abt2.Role) []reach {
	e := c.environments[id]
	if e == nil {
		return nil
	}
	var out []reach
	for _, id := range e.Modules {
		v := c.versions[id]
		if v == nil {
			continue
		}
		to := c.unserved
		if len(v.instances) > 0 {
			to = c.add(e.ID, v, role, nil)
		} else if other := c.fallback(e, v); other != nil && role != "" {
			to = c.add(e.ID, v, role, other)
		}
		out = append(out, reach{v.Prefix, to})
	}
	slices.SortFunc(out, func(a, b reach) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), cmp.Compare(a.prefix, b.prefix))
	})
	return out
}

// check refuses what BFE would take and then answer 500: a list of rules that
// is empty, and a route to a cluster that does not exist.
func (p *plan) check() error {
	for _, product := range p.products {
		if len(product.rules) == 0 {
			return abt2.Errorf(abt2.CodeInternal, "product %s has no rule", product.name)
		}
		for _, r := range product.rules {
			if _, ok := p.clusters[r.cluster]; !ok {
				return abt2.Errorf(abt2.CodeInternal, "a rule of product %s leads to cluster %s, which does not exist", product.name, r.cluster)
			}
		}
	}
	return nil
}

// with adds the clusters of routes that are served, or may be: a request that
// has found its route is about to look for its cluster.
func (p *plan) with(others ...*plan) map[string]cluster {
	out := map[string]cluster{}
	for _, o := range append(others, p) {
		if o != nil {
			for name, c := range o.clusters {
				out[name] = c
			}
		}
	}
	return out
}
