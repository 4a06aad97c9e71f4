package haproxy

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"abt2.dev"
)

// Read implements abt2.Edge. It returns what HAProxy has in memory: products,
// tokens and prefixes as its map has them, instances as its servers are. What a
// gateway has no use for, services and names, comes from the note.
func (e *Edge) Read(ctx context.Context) (abt2.EdgeRoutes, error) {
	have, err := e.look(ctx)
	if err != nil {
		return abt2.EdgeRoutes{}, err
	}
	if !have.noted {
		return abt2.EdgeRoutes{}, nil
	}
	return observed(have)
}

// observed corrects the routes that were applied by what is there.
func observed(have actual) (abt2.EdgeRoutes, error) {
	r := have.note.Routes
	p, err := compile(r)
	if err != nil {
		return abt2.EdgeRoutes{}, abt2.Wrap(abt2.CodeFailed, err, "the routes that HAProxy keeps cannot be read")
	}
	r.Table.Products = observedProducts(r.Table.Products, have.entries)
	r.Table.Environments = observedEnvironments(&r.Table, p, have.entries)
	r.Table.Versions = observedVersions(r.Table.Versions, have.servers)
	r.Tokens = map[abt2.TokenDigest]abt2.EnvironmentID{}
	for k, v := range have.entries {
		if digest, ok := strings.CutPrefix(k, keyToken); ok {
			r.Tokens[abt2.TokenDigest(digest)] = environmentOf(v)
		}
	}
	return r, nil
}

// environmentOf reads the environment out of a token's entry; zero: somebody
// else's writing.
func environmentOf(value string) abt2.EnvironmentID {
	_, rest, _ := strings.Cut(value, "|")
	id, _, _ := strings.Cut(rest, "~")
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	return abt2.EnvironmentID(n)
}

// observedProducts takes a product's online environment from where / leads. Hosts
// that lead elsewhere are left out, others that lead to the product are added.
func observedProducts(applied []abt2.TableProduct, entries map[string]string) []abt2.TableProduct {
	if entries[keyMode] != modeHere {
		return nil // every request is passed on to nobody
	}
	out := slices.Clone(applied)
	for i := range out {
		p := &out[i]
		online := func(host string) (abt2.EnvironmentID, bool) {
			w := parseWay(entries[host+"/"])
			return w.environment, w.product == p.Name && parseWay(entries[host+reservedPath]).kind == reserved
		}
		var hosts []string
		known := map[string]bool{}
		for _, h := range p.Hosts {
			known[strings.ToLower(h)] = true
			if id, ok := online(strings.ToLower(h)); ok {
				hosts, p.Online = append(hosts, h), id
			}
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			host, path, ok := splitWayKey(key)
			if ok && path == "/" && host != "" && !known[host] && parseWay(entries[key]).product == p.Name {
				hosts = append(hosts, host)
			}
		}
		if p.Hosts = hosts; p.Name == abt2.DefaultProduct {
			if id, ok := online(""); ok {
				p.Online = id
			} else {
				p.Online = 0
			}
		}
	}
	return out
}

// observedEnvironments drops the modules that not every way leads to which should,
// names the versions that one leads to in place of theirs, and adds those of ways
// that nobody asked for.
func observedEnvironments(t *abt2.Table, p *plan, entries map[string]string) []abt2.TableEnvironment {
	prefixes := map[abt2.VersionID]string{}
	for _, v := range t.Versions {
		if v.Prefix != "" {
			prefixes[v.ID] = strings.TrimSuffix(v.Prefix, "/") + "/"
		}
	}
	out := slices.Clone(t.Environments)
	for i := range out {
		env := &out[i]
		ways, starts := p.ways[env.ID], startsOf(t, p, env.ID)
		var modules []abt2.VersionID
		for _, id := range env.Modules {
			path, reached := prefixes[id]
			found := id
			for _, start := range starts {
				is := parseWay(entries[start+path])
				if reached && (is.kind != ways[path].kind || is.environment != env.ID || is.version != ways[path].version) {
					found = is.version
				}
			}
			if found != (abt2.VersionID{}) {
				modules = append(modules, found)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			for _, start := range starts {
				path, ok := strings.CutPrefix(key, start)
				if _, wanted := ways[path]; ok && !wanted && strings.HasPrefix(path, "/") && path != reservedPath {
					modules = append(modules, parseWay(entries[key]).version)
				}
			}
		}
		env.Modules = modules
	}
	return out
}

// startsOf returns what stands before a path in the keys of an environment's ways.
func startsOf(t *abt2.Table, p *plan, id abt2.EnvironmentID) []string {
	out := []string{keyRoute + p.keys[id]}
	for _, product := range t.Products {
		if product.Online != id {
			continue
		}
		if product.Name == abt2.DefaultProduct {
			out = append(out, "")
		}
		for _, h := range product.Hosts {
			out = append(out, strings.ToLower(h))
		}
	}
	return out
}

// observedVersions lists the instances that get requests of every kind.
func observedVersions(applied []abt2.TableVersion, servers []serverState) []abt2.TableVersion {
	type key struct{ backend, server, address string }
	up := map[key]bool{}
	for _, s := range servers {
		up[key{s.backend, s.name, s.address}] = s.up
	}
	out := slices.Clone(applied)
	for i := range out {
		v := &out[i]
		if v.Prefix == "" {
			continue
		}
		name := backendName(v.ID)
		var instances, more []abt2.TableInstance
		known := map[abt2.InstanceID]bool{}
		for _, in := range v.Instances {
			id := escape(string(in.ID))
			if up[key{plainPrefix + name, id, in.Address}] && up[key{grpcPrefix + name, id, in.Address}] {
				instances = append(instances, in)
				known[in.ID] = true
			}
		}
		for _, s := range servers {
			if id, ok := unescape(s.name); ok && s.up && s.backend == plainPrefix+name && !known[abt2.InstanceID(id)] && up[key{grpcPrefix + name, s.name, s.address}] {
				more = append(more, abt2.TableInstance{ID: abt2.InstanceID(id), Address: s.address})
			}
		}
		slices.SortFunc(more, func(a, b abt2.TableInstance) int { return cmp.Compare(a.ID, b.ID) })
		v.Instances = append(instances, more...)
	}
	return out
}
