package api

import (
	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func moduleStatusToWire(m abt2.ModuleStatus) *abt2v1.ModuleStatus {
	return &abt2v1.ModuleStatus{
		Name: string(m.Name), Kind: string(m.Kind), Scale: narrow(m.Scale), Released: versionToWire(m.Released), Owner: string(m.Owner), Address: m.Address,
		Versions: each(m.Versions, versionStatusToWire),
	}
}

func (r *reader) moduleStatus(m *abt2v1.ModuleStatus) abt2.ModuleStatus {
	return abt2.ModuleStatus{
		Name: abt2.ModuleName(m.GetName()), Kind: abt2.Kind(m.GetKind()), Scale: wide(m.GetScale()), Released: r.version(m.GetReleased()),
		Owner: abt2.ProductName(m.GetOwner()), Address: m.GetAddress(), Versions: each(m.GetVersions(), r.versionStatus),
	}
}

func versionStatusToWire(v abt2.VersionStatus) *abt2v1.VersionStatus {
	return &abt2v1.VersionStatus{
		Id: versionToWire(v.ID), Digest: v.Digest, Artifact: artifactToWire(v.Artifact), External: v.External, Created: timeToWire(v.Created),
		Tags: each(v.Tags, word), Healthy: narrow(v.Healthy), Want: narrow(v.Want),
	}
}

func (r *reader) versionStatus(v *abt2v1.VersionStatus) abt2.VersionStatus {
	return abt2.VersionStatus{
		ID: r.version(v.GetId()), Digest: v.GetDigest(), Artifact: artifactFromWire(v.GetArtifact()), External: v.GetExternal(), Created: timeFromWire(v.GetCreated()),
		Tags: each(v.GetTags(), as[abt2.Role]), Healthy: wide(v.GetHealthy()), Want: wide(v.GetWant()),
	}
}

func changeModuleToWire(r abt2.ChangeModuleRequest) *abt2v1.ChangeModuleRequest {
	return &abt2v1.ChangeModuleRequest{
		By: byToWire(r.By), Product: string(r.Product), Module: string(r.Module), Change: string(r.Change), Scale: narrow(r.Scale), DryRun: r.DryRun,
	}
}

func changeModuleFromWire(r *abt2v1.ChangeModuleRequest) abt2.ChangeModuleRequest {
	return abt2.ChangeModuleRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()), Module: abt2.ModuleName(r.GetModule()),
		Change: abt2.ModuleChange(r.GetChange()), Scale: wide(r.GetScale()), DryRun: r.GetDryRun(),
	}
}
