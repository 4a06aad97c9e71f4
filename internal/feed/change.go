package feed

import (
	"reflect"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// tableChange returns what turns before into after.
func tableChange(before, after abt2.Table) *feedpb.TableChange {
	products, noProducts := difference(before.Products, after.Products, func(p abt2.TableProduct) abt2.ProductName { return p.Name })
	environments, noEnvironments := difference(before.Environments, after.Environments, func(e abt2.TableEnvironment) abt2.EnvironmentID { return e.ID })
	versions, noVersions := difference(before.Versions, after.Versions, func(v abt2.TableVersion) abt2.VersionID { return v.ID })
	names, noNames := difference(before.Names, after.Names, func(n abt2.Name) abt2.ModuleName { return n.Module })
	changed := TableToProto(abt2.Table{Products: products, Environments: environments, Versions: versions, Names: names})
	out := &feedpb.TableChange{
		From: markToProto(before.Mark), To: markToProto(after.Mark), HighestEnvironment: uint64(after.HighestEnvironment),
		Products: changed.GetProducts(), Environments: changed.GetEnvironments(), Versions: changed.GetVersions(), Names: changed.GetNames(),
	}
	for _, name := range noProducts {
		out.RemovedProducts = append(out.RemovedProducts, string(name))
	}
	for _, id := range noEnvironments {
		out.RemovedEnvironments = append(out.RemovedEnvironments, uint64(id))
	}
	for _, id := range noVersions {
		out.RemovedVersions = append(out.RemovedVersions, id.String())
	}
	for _, module := range noNames {
		out.RemovedNames = append(out.RemovedNames, string(module))
	}
	return out
}

// routesChange returns what turns before into after.
func routesChange(before, after abt2.EdgeRoutes) *feedpb.RoutesChange {
	out := &feedpb.RoutesChange{Table: tableChange(before.Table, after.Table), Tokens: map[string]uint64{}, Visitors: visitorsToProto(after)}
	for digest := range before.Tokens {
		if _, ok := after.Tokens[digest]; !ok {
			out.RemovedTokens = append(out.RemovedTokens, string(digest))
		}
	}
	for digest, env := range after.Tokens {
		if was, ok := before.Tokens[digest]; !ok || was != env {
			out.Tokens[string(digest)] = uint64(env)
		}
	}
	return out
}

// difference returns what of after is new or different, and the identities that
// only before has.
func difference[T any, ID comparable](before, after []T, id func(T) ID) (changed []T, removed []ID) {
	was := make(map[ID]T, len(before))
	for _, t := range before {
		was[id(t)] = t
	}
	for _, t := range after {
		if old, ok := was[id(t)]; !ok || !reflect.DeepEqual(old, t) {
			changed = append(changed, t)
		}
		delete(was, id(t))
	}
	for _, t := range before {
		if _, gone := was[id(t)]; gone {
			removed = append(removed, id(t))
		}
	}
	return changed, removed
}
