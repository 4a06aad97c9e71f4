package haproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"abt2.dev"
)

// plan is what routes come to in HAProxy's terms. It depends on nothing else.
type plan struct {
	entries  map[string]string // of the map
	backends []backend         // by version
	hosts    bool              // some product names some
	keys     map[abt2.EnvironmentID]string
	ways     map[abt2.EnvironmentID]map[string]way // by prefix + /
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

// What an entry of the map is about. Host and path of a request lead to a way by
// one lookup; that is all for most. Where a token selects an environment, another
// lookup leads from there and the path to a way. What an environment leads to is
// never changed but gets another key, so that answers of which one is newer still
// make a way that is whole.
//
// The key of a way is host and prefix, HOST/PREFIX/, and /PREFIX/ alone for hosts
// that no product names. The others begin with a capital letter, as no host does
// that HAProxy looks up.
const (
	keyMode  = "MODE" // modeHere, or modeHandover in a process that was replaced
	keyToken = "T|"   // + digest: product|environment key|role
	keyRoute = "E|"   // + environment key + prefix + /: a way
	keyNote  = "N|"   // + number: a part of the note

	modeHere     = "here"
	modeHandover = "handover"

	// emptyKey stands in an environment key for an environment without modules.
	emptyKey = "none"
)

// way is where host and path lead, or environment and path. Its text is
// kind|environment|version|backend, and where it belongs to a host
// |product|environment key.
type way struct {
	kind        wayKind
	environment abt2.EnvironmentID
	version     abt2.VersionID // zero unless the kind is routed or standIn
	product     abt2.ProductName
	key         string
}

// wayKind is one lower-case letter, which the configuration looks at first.
type wayKind string

const (
	routed   wayKind = "r" // to a version
	standIn  wayKind = "f" // to the online version in place of one without instances
	nowhere  wayKind = "x" // no module serves this path
	empty    wayKind = "n" // the environment has no modules
	reserved wayKind = "p" // below abt2.ReservedPrefix
)

func (w way) String() string {
	version, backend := "", ""
	if w.version != (abt2.VersionID{}) {
		version, backend = w.version.String(), backendName(w.version)
	}
	s := string(w.kind) + "|" + w.environment.String() + "|" + version + "|" + backend
	if w.key != "" {
		s += "|" + string(w.product) + "|" + w.key
	}
	return s
}

// parseWay reads what String wrote; of somebody else's writing it returns what
// can be read.
func parseWay(s string) (w way) {
	fields := strings.Split(s, "|")
	fields = append(fields, make([]string, max(0, 6-len(fields)))...)
	n, err := strconv.ParseUint(fields[1], 10, 64)
	if err == nil {
		w.environment = abt2.EnvironmentID(n)
	}
	if v, err := abt2.ParseVersionID(fields[2]); err == nil && fields[3] == backendName(v) {
		w.version = v
	}
	w.kind, w.product, w.key = wayKind(fields[0]), abt2.ProductName(fields[4]), fields[5]
	return w
}

// splitWayKey returns host and path of a way's key; false: it is none.
func splitWayKey(key string) (host, path string, ok bool) {
	i := strings.IndexByte(key, '/')
	if i < 0 || 'A' <= key[0] && key[0] <= 'Z' {
		return "", "", false
	}
	return key[:i], key[i:], true
}

// reservedPath is below every host.
const reservedPath = abt2.ReservedPrefix + "/"

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
		plan: &plan{
			entries: map[string]string{keyMode: modeHere, reservedPath: way{kind: reserved}.String()},
			keys:    map[abt2.EnvironmentID]string{}, ways: map[abt2.EnvironmentID]map[string]way{},
		},
		versions: map[abt2.VersionID]*abt2.TableVersion{}, environments: map[abt2.EnvironmentID]*abt2.TableEnvironment{},
		products: map[abt2.ProductName]*abt2.TableProduct{},
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

// environment makes the ways of an environment. Their key holds a digest of them.
func (c *compiler) environment(e *abt2.TableEnvironment) {
	ways := map[string]way{"/": {kind: nowhere, environment: e.ID}}
	if len(e.Modules) == 0 {
		ways["/"] = way{kind: empty, environment: e.ID}
	}
	for _, id := range e.Modules {
		v := c.versions[id]
		if v == nil {
			continue
		}
		w := way{kind: routed, environment: e.ID, version: id}
		if other := c.fallback(e, v); other != nil {
			w.kind, w.version = standIn, other.ID
		}
		ways[strings.TrimSuffix(v.Prefix, "/")+"/"] = w
	}
	digest := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(ways)) {
		digest.Write([]byte(path + " " + ways[path].String() + "\n"))
	}
	key := environmentKey(e.ID, hex.EncodeToString(digest.Sum(nil)[:6]))
	if len(e.Modules) == 0 {
		key = environmentKey(e.ID, emptyKey)
	}
	c.keys[e.ID], c.ways[e.ID] = key, ways
	for path, w := range ways {
		c.entries[keyRoute+key+path] = w.String()
	}
}

func environmentKey(id abt2.EnvironmentID, digest string) string { return id.String() + "~" + digest }

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
	key, ways := c.keys[p.Online], c.ways[p.Online]
	if ways == nil {
		key = environmentKey(p.Online, emptyKey)
		ways = map[string]way{"/": {kind: empty, environment: p.Online}}
	}
	lead := func(host string) {
		for path, w := range ways {
			w.product, w.key = p.Name, key
			c.entries[host+path] = w.String()
		}
		c.entries[host+reservedPath] = way{kind: reserved}.String()
	}
	if p.Name == abt2.DefaultProduct {
		lead("")
	}
	for _, h := range p.Hosts {
		if err := checkWord("host of "+string(p.Name), h, "|*/#"); err != nil {
			return err
		}
		lead(strings.ToLower(h))
		c.hosts = true
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
	c.entries[keyToken+string(digest)] = string(e.Product) + "|" + c.keys[id] + "|" + string(c.products[e.Product].Role(id))
	return nil
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
