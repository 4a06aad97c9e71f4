package api

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func createRequestToWire(r abt2.CreateRequest) *abt2v1.CreateRequest {
	return &abt2v1.CreateRequest{
		By: byToWire(r.By), Product: string(r.Product), Description: r.Description, Force: r.Force, DryRun: r.DryRun,
	}
}

func createRequestFromWire(r *abt2v1.CreateRequest) abt2.CreateRequest {
	return abt2.CreateRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()), Description: r.GetDescription(),
		Force: r.GetForce(), DryRun: r.GetDryRun(),
	}
}

func putRequestToWire(r abt2.PutRequest) *abt2v1.PutRequest {
	return &abt2v1.PutRequest{
		By: byToWire(r.By), Product: string(r.Product), Modules: each(r.Modules, putModuleToWire), Init: r.Init, DryRun: r.DryRun,
	}
}

func putRequestFromWire(r *abt2v1.PutRequest) abt2.PutRequest {
	return abt2.PutRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()),
		Modules: each(r.GetModules(), putModuleFromWire), Init: r.GetInit(), DryRun: r.GetDryRun(),
	}
}

func putModuleToWire(m abt2.PutModule) *abt2v1.PutModule {
	return &abt2v1.PutModule{
		Module: string(m.Module), Artifact: artifactToWire(m.Artifact), Flags: patchToWire(m.Flags), File: m.File, Init: m.Init,
	}
}

func putModuleFromWire(m *abt2v1.PutModule) abt2.PutModule {
	return abt2.PutModule{
		Module: abt2.ModuleName(m.GetModule()), Artifact: artifactFromWire(m.GetArtifact()),
		Flags: patchFromWire(m.GetFlags()), File: m.GetFile(), Init: m.GetInit(),
	}
}

func patchToWire(p abt2.ConfigPatch) *abt2v1.ConfigPatch {
	out := &abt2v1.ConfigPatch{
		Kind: pointed(p.Kind, word[abt2.Kind]), Prefix: p.Prefix, Command: listToWire(p.Command), Args: listToWire(p.Args),
		EnvFile: p.EnvFile, Health: p.Health,
		ReadyTimeout: optionalDurationToWire(p.ReadyTimeout), StopGrace: optionalDurationToWire(p.StopGrace),
		Fallback: pointed(p.Fallback, word[abt2.Fallback]), Preview: pointed(p.Preview, word[abt2.PreviewMode]),
		Compat: pointed(p.Compat, word[abt2.ProductName]), Instances: pointed(p.Instances, narrow),
		External: listToWire(p.External),
	}
	if p.Env != nil {
		out.Env = &abt2v1.StringMap{Values: p.Env}
	}
	if p.Navi != nil {
		out.Navi = &abt2v1.ServiceName{Namespace: p.Navi.Namespace, Interface: p.Navi.Interface}
	}
	return out
}

func patchFromWire(p *abt2v1.ConfigPatch) abt2.ConfigPatch {
	if p == nil {
		return abt2.ConfigPatch{}
	}
	out := abt2.ConfigPatch{
		Kind: pointed(p.Kind, as[abt2.Kind]), Prefix: p.Prefix, Command: listFromWire(p.Command), Args: listFromWire(p.Args),
		EnvFile: p.EnvFile, Health: p.Health,
		ReadyTimeout: optionalDurationFromWire(p.ReadyTimeout), StopGrace: optionalDurationFromWire(p.StopGrace),
		Fallback: pointed(p.Fallback, as[abt2.Fallback]), Preview: pointed(p.Preview, as[abt2.PreviewMode]),
		Compat: pointed(p.Compat, as[abt2.ProductName]), Instances: pointed(p.Instances, wide),
		External: listFromWire(p.External),
	}
	if p.Navi != nil {
		out.Navi = &abt2.ServiceName{Namespace: p.Navi.GetNamespace(), Interface: p.Navi.GetInterface()}
	}
	if p.Env != nil {
		out.Env = map[string]string{}
		for k, v := range p.Env.GetValues() {
			out.Env[k] = v
		}
	}
	return out
}

// In a patch an empty list replaces; only an absent one does not.

func listToWire(l []string) *abt2v1.StringList {
	if l == nil {
		return nil
	}
	return &abt2v1.StringList{Values: l}
}

func listFromWire(l *abt2v1.StringList) []string {
	if l == nil {
		return nil
	}
	return append([]string{}, l.GetValues()...)
}

func optionalDurationToWire(d *abt2.Duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return durationpb.New(time.Duration(*d))
}

func optionalDurationFromWire(d *durationpb.Duration) *abt2.Duration {
	if d == nil {
		return nil
	}
	v := abt2.Duration(d.AsDuration())
	return &v
}

// moduleRequest is what DropRequest and RemoveRequest have in common.
type moduleRequest interface {
	GetBy() *abt2v1.By
	GetProduct() string
	GetModules() []string
	GetDryRun() bool
}

func moduleRequestFromWire(r moduleRequest) abt2.ModuleRequest {
	return abt2.ModuleRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()),
		Modules: each(r.GetModules(), as[abt2.ModuleName]), DryRun: r.GetDryRun(),
	}
}

func verbRequestToWire(r abt2.VerbRequest) *abt2v1.RunRequest {
	out := &abt2v1.RunRequest{
		By: byToWire(r.By), Verb: string(r.Verb), Product: string(r.Product), Modules: each(r.Modules, word), Instances: each(r.Instances, word),
		Scale: map[string]int32{}, DryRun: r.DryRun, Yes: r.Yes, Prune: r.Prune, Force: r.Force, NoHooks: r.NoHooks, Share: uint32(r.Share), Session: uint64(r.Session),
		AckTimeout: durationToWire(r.AckTimeout), SettleTimeout: durationToWire(r.SettleTimeout), DrainTimeout: durationToWire(r.DrainTimeout),
	}
	for m, n := range r.Scale {
		out.Scale[string(m)] = narrow(n)
	}
	return out
}

func verbRequestFromWire(r *abt2v1.RunRequest) abt2.VerbRequest {
	out := abt2.VerbRequest{
		By: byFromWire(r.GetBy()), Verb: abt2.Verb(r.GetVerb()), Product: abt2.ProductName(r.GetProduct()),
		Modules: each(r.GetModules(), as[abt2.ModuleName]), Instances: each(r.GetInstances(), as[abt2.InstanceID]),
		DryRun: r.GetDryRun(), Yes: r.GetYes(), Prune: r.GetPrune(), Force: r.GetForce(), NoHooks: r.GetNoHooks(), Share: abt2.Share(r.GetShare()), Session: abt2.SessionID(r.GetSession()),
		AckTimeout: durationFromWire(r.GetAckTimeout()), SettleTimeout: durationFromWire(r.GetSettleTimeout()), DrainTimeout: durationFromWire(r.GetDrainTimeout()),
	}
	if len(r.GetScale()) > 0 {
		out.Scale = map[abt2.ModuleName]int{}
	}
	for m, n := range r.GetScale() {
		out.Scale[abt2.ModuleName(m)] = int(n)
	}
	return out
}

func validateRequestToWire(r abt2.ValidateRequest) *abt2v1.ValidateRequest {
	return &abt2v1.ValidateRequest{
		Product: string(r.Product), Platform: r.Platform, Edge: r.Edge, ConfigCentre: r.ConfigCentre, Registry: r.Registry, Routers: r.Routers,
	}
}

func validateRequestFromWire(r *abt2v1.ValidateRequest) abt2.ValidateRequest {
	return abt2.ValidateRequest{
		Product: abt2.ProductName(r.GetProduct()), Platform: r.GetPlatform(), Edge: r.GetEdge(),
		ConfigCentre: r.GetConfigCentre(), Registry: r.GetRegistry(), Routers: r.GetRouters(),
	}
}

func logsRequestToWire(r abt2.LogsRequest) *abt2v1.LogsRequest {
	return &abt2v1.LogsRequest{
		Product: string(r.Product), Module: string(r.Version.Module), Number: r.Version.Number, Tail: narrow(r.Tail), Follow: r.Follow,
	}
}

func logsRequestFromWire(r *abt2v1.LogsRequest) abt2.LogsRequest {
	return abt2.LogsRequest{
		Product: abt2.ProductName(r.GetProduct()), Version: abt2.VersionID{Module: abt2.ModuleName(r.GetModule()), Number: r.GetNumber()},
		Tail: int(r.GetTail()), Follow: r.GetFollow(),
	}
}
