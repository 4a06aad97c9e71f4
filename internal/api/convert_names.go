package api

import (
	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func lookupRequestToWire(r abt2.LookupRequest) *abt2v1.LookupRequest {
	return &abt2v1.LookupRequest{Product: string(r.Product), Name: r.Name, Number: r.Number, Seen: r.Seen, Wait: durationToWire(r.Wait)}
}

func lookupRequestFromWire(r *abt2v1.LookupRequest) abt2.LookupRequest {
	return abt2.LookupRequest{
		Product: abt2.ProductName(r.GetProduct()), Name: r.GetName(), Number: r.GetNumber(), Seen: r.GetSeen(), Wait: durationFromWire(r.GetWait()),
	}
}

func lookupToWire(l abt2.Lookup) *abt2v1.Lookup {
	return &abt2v1.Lookup{
		Product: string(l.Product), Name: l.Name, Versions: each(l.Versions, versionToWire), Instances: each(l.Instances, namedInstanceToWire), Digest: l.Digest,
	}
}

func (r *reader) lookup(l *abt2v1.Lookup) abt2.Lookup {
	return abt2.Lookup{
		Product: abt2.ProductName(l.GetProduct()), Name: l.GetName(), Versions: each(l.GetVersions(), r.version),
		Instances: each(l.GetInstances(), r.namedInstance), Digest: l.GetDigest(),
	}
}

func namedInstanceToWire(i abt2.NamedInstance) *abt2v1.NamedInstance {
	return &abt2v1.NamedInstance{
		Instance: instanceToWire(i.InstanceStatus), Callable: i.Callable, Tags: each(i.Tags, word), Load: pointed(i.Load, narrow),
	}
}

func (r *reader) namedInstance(i *abt2v1.NamedInstance) abt2.NamedInstance {
	return abt2.NamedInstance{
		InstanceStatus: r.instance(i.GetInstance()), Callable: i.GetCallable(), Tags: each(i.GetTags(), as[abt2.Role]), Load: pointed(i.Load, wide),
	}
}

func groupToWire(g abt2.Group) *abt2v1.Group {
	return &abt2v1.Group{Product: string(g.Product), Name: string(g.Name), Modules: each(g.Modules, word)}
}

func groupFromWire(g *abt2v1.Group) abt2.Group {
	return abt2.Group{Product: abt2.ProductName(g.GetProduct()), Name: abt2.GroupName(g.GetName()), Modules: each(g.GetModules(), as[abt2.ModuleName])}
}

func groupRequestToWire(r abt2.GroupRequest) *abt2v1.ChangeGroupRequest {
	return &abt2v1.ChangeGroupRequest{
		By: byToWire(r.By), Product: string(r.Product), Group: string(r.Group), Change: string(r.Change), Modules: each(r.Modules, word), DryRun: r.DryRun,
	}
}

func groupRequestFromWire(r *abt2v1.ChangeGroupRequest) abt2.GroupRequest {
	return abt2.GroupRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()), Group: abt2.GroupName(r.GetGroup()), Change: abt2.GroupChange(r.GetChange()),
		Modules: each(r.GetModules(), as[abt2.ModuleName]), DryRun: r.GetDryRun(),
	}
}
