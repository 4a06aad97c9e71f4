package feed

import (
	"time"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// TableToProto returns the table as routers receive it.
func TableToProto(t abt2.Table) *feedpb.Table {
	out := &feedpb.Table{Mark: markToProto(t.Mark), HighestEnvironment: uint64(t.HighestEnvironment)}
	for _, p := range t.Products {
		product := &feedpb.Product{
			Name: string(p.Name), Hosts: p.Hosts, Online: uint64(p.Online), Backup: uint64(p.Backup), Preview: uint64(p.Preview),
		}
		for _, id := range p.Parked {
			product.Parked = append(product.Parked, uint64(id))
		}
		out.Products = append(out.Products, product)
	}
	for _, e := range t.Environments {
		env := &feedpb.Environment{Id: uint64(e.ID), Product: string(e.Product), WasOnline: e.WasOnline}
		for _, v := range e.Modules {
			env.Versions = append(env.Versions, v.String())
		}
		out.Environments = append(out.Environments, env)
	}
	for _, v := range t.Versions {
		version := &feedpb.Version{Id: v.ID.String(), Kind: string(v.Kind), Prefix: v.Prefix, Fallback: string(v.Fallback), External: v.External}
		for _, i := range v.Instances {
			version.Instances = append(version.Instances, &feedpb.Instance{Id: string(i.ID), Address: i.Address})
		}
		out.Versions = append(out.Versions, version)
	}
	for _, n := range t.Names {
		out.Names = append(out.Names, &feedpb.Name{Module: string(n.Module), Product: string(n.Product), Address: n.Address})
	}
	return out
}

// TableFromProto returns the table of a message. Lists that are empty are nil.
// The error is of CodeInvalid: a version is not written module@number.
func TableFromProto(t *feedpb.Table) (abt2.Table, error) {
	out := abt2.Table{Mark: markFromProto(t.GetMark()), HighestEnvironment: abt2.EnvironmentID(t.GetHighestEnvironment())}
	for _, p := range t.GetProducts() {
		product := abt2.TableProduct{
			Name: abt2.ProductName(p.GetName()), Hosts: p.GetHosts(),
			Online: abt2.EnvironmentID(p.GetOnline()), Backup: abt2.EnvironmentID(p.GetBackup()), Preview: abt2.EnvironmentID(p.GetPreview()),
		}
		for _, id := range p.GetParked() {
			product.Parked = append(product.Parked, abt2.EnvironmentID(id))
		}
		out.Products = append(out.Products, product)
	}
	for _, e := range t.GetEnvironments() {
		env := abt2.TableEnvironment{ID: abt2.EnvironmentID(e.GetId()), Product: abt2.ProductName(e.GetProduct()), WasOnline: e.GetWasOnline()}
		for _, s := range e.GetVersions() {
			v, err := abt2.ParseVersionID(s)
			if err != nil {
				return abt2.Table{}, err
			}
			env.Modules = append(env.Modules, v)
		}
		out.Environments = append(out.Environments, env)
	}
	for _, v := range t.GetVersions() {
		id, err := abt2.ParseVersionID(v.GetId())
		if err != nil {
			return abt2.Table{}, err
		}
		version := abt2.TableVersion{ID: id, Kind: abt2.Kind(v.GetKind()), Prefix: v.GetPrefix(), Fallback: abt2.Fallback(v.GetFallback()), External: v.GetExternal()}
		for _, i := range v.GetInstances() {
			version.Instances = append(version.Instances, abt2.TableInstance{ID: abt2.InstanceID(i.GetId()), Address: i.GetAddress()})
		}
		out.Versions = append(out.Versions, version)
	}
	for _, n := range t.GetNames() {
		out.Names = append(out.Names, abt2.Name{Module: abt2.ModuleName(n.GetModule()), Product: abt2.ProductName(n.GetProduct()), Address: n.GetAddress()})
	}
	return out, nil
}

// RoutesToProto returns the routes as edges receive them.
func RoutesToProto(r abt2.EdgeRoutes) *feedpb.EdgeRoutes {
	out := &feedpb.EdgeRoutes{Table: TableToProto(r.Table)}
	if len(r.Tokens) > 0 {
		out.Tokens = make(map[string]uint64, len(r.Tokens))
	}
	for digest, env := range r.Tokens {
		out.Tokens[string(digest)] = uint64(env)
	}
	out.Visitors = visitorsToProto(r)
	return out
}

func visitorsToProto(r abt2.EdgeRoutes) *feedpb.Visitors {
	if len(r.Shares)+len(r.Skew) == 0 {
		return nil
	}
	out := &feedpb.Visitors{Shares: map[string]*feedpb.Visitors_Share{}, Skew: map[string]*feedpb.Visitors_Skew{}}
	for p, s := range r.Shares {
		out.Shares[string(p)] = &feedpb.Visitors_Share{Environment: uint64(s.Environment), Parts: uint32(s.Share), Salt: s.Salt}
	}
	for p, s := range r.Skew {
		out.Skew[string(p)] = &feedpb.Visitors_Skew{KeepMs: uint64(time.Duration(s.Keep).Milliseconds()), Key: s.Key}
	}
	return out
}

// RoutesFromProto returns the routes of a message; nil is the zero EdgeRoutes.
// The error is that of TableFromProto.
func RoutesFromProto(r *feedpb.EdgeRoutes) (abt2.EdgeRoutes, error) {
	table, err := TableFromProto(r.GetTable())
	if err != nil {
		return abt2.EdgeRoutes{}, err
	}
	out := abt2.EdgeRoutes{Table: table}
	if len(r.GetTokens()) > 0 {
		out.Tokens = make(map[abt2.TokenDigest]abt2.EnvironmentID, len(r.GetTokens()))
	}
	for digest, env := range r.GetTokens() {
		out.Tokens[abt2.TokenDigest(digest)] = abt2.EnvironmentID(env)
	}
	for p, s := range r.GetVisitors().GetShares() {
		if out.Shares == nil {
			out.Shares = map[abt2.ProductName]abt2.VisitorShare{}
		}
		out.Shares[abt2.ProductName(p)] = abt2.VisitorShare{Environment: abt2.EnvironmentID(s.GetEnvironment()), Share: abt2.Share(s.GetParts()), Salt: s.GetSalt()}
	}
	for p, s := range r.GetVisitors().GetSkew() {
		if out.Skew == nil {
			out.Skew = map[abt2.ProductName]abt2.Skew{}
		}
		out.Skew[abt2.ProductName(p)] = abt2.Skew{Keep: abt2.Duration(time.Duration(s.GetKeepMs()) * time.Millisecond), Key: s.GetKey()}
	}
	return out, nil
}

func markToProto(m abt2.Mark) *feedpb.Mark {
	return &feedpb.Mark{Epoch: m.Epoch, Revision: m.Revision}
}

func markFromProto(m *feedpb.Mark) abt2.Mark {
	return abt2.Mark{Epoch: m.GetEpoch(), Revision: m.GetRevision()}
}
