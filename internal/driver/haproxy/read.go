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

// environmentOf reads the environment out of a host's or a token's entry; zero:
// somebody else's writing.
func environmentOf(value string) abt2.EnvironmentID {
	_, rest, _ := strings.Cut(value, "|")
	id, _, _ := strings.Cut(rest, "~")
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	return abt2.EnvironmentID(n)
}

func observedProducts(applied []abt2.TableProduct, entries map[string]string) []abt2.TableProduct {
	out := slices.Clone(applied)
	for i := range out {
		p := &out[i]
		var hosts []string
		known := map[string]bool{}
		for _, h := range p.Hosts {
			key := keyHost + strings.ToLower(h)
			known[key] = true
			if strings.HasPrefix(entries[key], string(p.Name)+"|") {
				hosts = append(hosts, h)
				p.Online = environmentOf(entries[key])
			}
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			host, ok := strings.CutPrefix(key, keyHost)
			if ok && host != anyHost && !known[key] && strings.HasPrefix(entries[key], string(p.Name)+"|") {
				hosts = append(hosts, host)
			}
		}
		if p.Hosts = hosts; p.Name == abt2.DefaultProduct {
			p.Online = environmentOf(entries[keyHost+anyHost])
		}
	}
	return out
}

// observedEnvironments drops the modules that no route leads to, and names the
// versions that routes lead to in place of others.
func observedEnvironments(t *abt2.Table, p *plan, entries map[string]string) []abt2.TableEnvironment {
	prefixes := map[abt2.VersionID]string{}
	for _, v := range t.Versions {
		if v.Prefix != "" {
			prefixes[v.ID] = strings.TrimSuffix(v.Prefix, "/") + "/"
		}
	}
	routes := map[abt2.EnvironmentID]map[string]string{} // by path: the key that was applied
	for k := range p.entries {
		key, path, ok := strings.Cut(strings.TrimPrefix(k, keyRoute), "|")
		if !ok || !strings.HasPrefix(k, keyRoute) {
			continue
		}
		id := environmentOf("|" + key)
		if routes[id] == nil {
			routes[id] = map[string]string{}
		}
		routes[id][path] = k
	}
	out := slices.Clone(t.Environments)
	for i := range out {
		env := &out[i]
		var modules []abt2.VersionID
		for _, id := range env.Modules {
			key, reached := routes[env.ID][prefixes[id]]
			if value, there := entries[key]; !reached || value == p.entries[key] {
				modules = append(modules, id)
			} else if other, err := abt2.ParseVersionID(firstField(value)); there && err == nil {
				modules = append(modules, other)
			}
		}
		env.Modules = modules
	}
	return out
}

func firstField(value string) string {
	s, _, _ := strings.Cut(value, "|")
	return s
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
