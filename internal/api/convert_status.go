package api

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func statusToWire(s abt2.Status) *abt2v1.Status {
	out := &abt2v1.Status{
		Product: string(s.Product), Online: environmentToWire(s.Online), Preview: environmentToWire(s.Preview), Backup: environmentToWire(s.Backup),
		Instances: each(s.Instances, instanceToWire), Names: each(s.Names, nameToWire), Routers: each(s.Routers, routerToWire),
		Edges: s.Edges, Limits: s.Limits, Unsettled: s.Unsettled, Faults: s.Faults, Missing: each(s.Missing, shortageToWire), Next: s.Next,
		Parked: each(s.Parked, parkedToWire),
	}
	if s.Skew != 0 {
		out.Skew = durationpb.New(time.Duration(s.Skew))
	}
	if x := s.Session; x != nil {
		out.Session = sessionStatusToWire(*x)
	}
	if x := s.Running; x != nil {
		out.Running = &abt2v1.Intent{
			Verb: string(x.Verb), Operator: x.Operator, Identity: x.Identity, Modules: each(x.Modules, word), Share: uint32(x.Share),
			Session: uint64(x.Session), Started: timeToWire(x.Started), Decided: x.Decided,
		}
	}
	return out
}

func (r *reader) status(s *abt2v1.Status) abt2.Status {
	out := abt2.Status{
		Product: abt2.ProductName(s.GetProduct()),
		Online:  r.optionalEnvironment(s.GetOnline()), Preview: r.optionalEnvironment(s.GetPreview()), Backup: r.optionalEnvironment(s.GetBackup()),
		Instances: each(s.GetInstances(), r.instance), Names: each(s.GetNames(), r.name), Routers: each(s.GetRouters(), r.router),
		Edges: s.GetEdges(), Limits: s.GetLimits(), Unsettled: s.GetUnsettled(), Faults: s.GetFaults(), Missing: each(s.GetMissing(), r.shortage), Next: s.GetNext(),
		Parked: each(s.GetParked(), r.parked),
	}
	out.Skew = abt2.Duration(s.GetSkew().AsDuration())
	if x := s.GetSession(); x != nil {
		session := r.sessionStatus(x)
		out.Session = &session
	}
	if x := s.GetRunning(); x != nil {
		out.Running = &abt2.Intent{
			Verb: abt2.Verb(x.GetVerb()), Operator: x.GetOperator(), Identity: x.GetIdentity(), Modules: each(x.GetModules(), as[abt2.ModuleName]), Share: abt2.Share(x.GetShare()),
			Session: abt2.SessionID(x.GetSession()), Started: timeFromWire(x.GetStarted()), Decided: x.GetDecided(),
		}
	}
	return out
}

func sessionStatusToWire(x abt2.SessionStatus) *abt2v1.SessionStatus {
	return &abt2v1.SessionStatus{
		Id: uint64(x.ID), State: string(x.State), Operator: x.Operator, Description: x.Description,
		Share: uint32(x.Share), Created: timeToWire(x.Created), Changed: timeToWire(x.Changed), Targets: each(x.Targets, planLineToWire),
	}
}

func (r *reader) sessionStatus(x *abt2v1.SessionStatus) abt2.SessionStatus {
	return abt2.SessionStatus{
		ID: abt2.SessionID(x.GetId()), State: abt2.SessionState(x.GetState()), Operator: x.GetOperator(), Description: x.GetDescription(),
		Share: abt2.Share(x.GetShare()), Created: timeFromWire(x.GetCreated()), Changed: timeFromWire(x.GetChanged()), Targets: each(x.GetTargets(), r.planLine),
	}
}

func parkedToWire(x abt2.ParkedStatus) *abt2v1.ParkedStatus {
	return &abt2v1.ParkedStatus{Session: sessionStatusToWire(x.SessionStatus), Preview: environmentToWire(x.Preview)}
}

func (r *reader) parked(x *abt2v1.ParkedStatus) abt2.ParkedStatus {
	return abt2.ParkedStatus{SessionStatus: r.sessionStatus(x.GetSession()), Preview: r.optionalEnvironment(x.GetPreview())}
}

func environmentToWire(e *abt2.EnvironmentStatus) *abt2v1.EnvironmentStatus {
	if e == nil {
		return nil
	}
	out := &abt2v1.EnvironmentStatus{
		Id: uint64(e.ID), Product: string(e.Product), Role: string(e.Role), Modules: map[string]string{}, Cookie: e.Cookie, Link: e.Link,
	}
	for m, v := range e.Modules {
		out.Modules[string(m)] = versionToWire(v)
	}
	return out
}

// environment never leaves the modules nil: the empty environment is one, too.
func (r *reader) environment(e *abt2v1.EnvironmentStatus) abt2.EnvironmentStatus {
	out := abt2.EnvironmentStatus{
		ID: abt2.EnvironmentID(e.GetId()), Product: abt2.ProductName(e.GetProduct()), Role: abt2.Role(e.GetRole()),
		Modules: map[abt2.ModuleName]abt2.VersionID{}, Cookie: e.GetCookie(), Link: e.GetLink(),
	}
	for m, v := range e.GetModules() {
		out.Modules[abt2.ModuleName(m)] = r.version(v)
	}
	return out
}

func (r *reader) optionalEnvironment(e *abt2v1.EnvironmentStatus) *abt2.EnvironmentStatus {
	if e == nil {
		return nil
	}
	out := r.environment(e)
	return &out
}

func instanceToWire(i abt2.InstanceStatus) *abt2v1.InstanceStatus {
	return &abt2v1.InstanceStatus{
		Id: string(i.ID), Module: string(i.Module), Version: versionToWire(i.Version), Address: i.Address,
		State: string(i.State), Restarts: narrow(i.Restarts), Detail: text(i.Detail), External: i.External,
	}
}

func (r *reader) instance(i *abt2v1.InstanceStatus) abt2.InstanceStatus {
	return abt2.InstanceStatus{
		ID: abt2.InstanceID(i.GetId()), Module: abt2.ModuleName(i.GetModule()), Version: r.version(i.GetVersion()), Address: i.GetAddress(),
		State: abt2.InstanceState(i.GetState()), Restarts: int(i.GetRestarts()), Detail: i.GetDetail(), External: i.GetExternal(),
	}
}

func nameToWire(n abt2.NameStatus) *abt2v1.NameStatus {
	return &abt2v1.NameStatus{Module: string(n.Module), Product: string(n.Product), Address: n.Address, Version: versionToWire(n.Version)}
}

func (r *reader) name(n *abt2v1.NameStatus) abt2.NameStatus {
	return abt2.NameStatus{Module: abt2.ModuleName(n.GetModule()), Product: abt2.ProductName(n.GetProduct()), Address: n.GetAddress(), Version: r.version(n.GetVersion())}
}

func routerToWire(x abt2.RouterStatus) *abt2v1.RouterStatus {
	return &abt2v1.RouterStatus{
		Id: x.ID, Role: x.Role, Version: versionToWire(x.Version), Connected: x.Connected,
		Applied: &abt2v1.Mark{Epoch: x.Applied.Epoch, Revision: x.Applied.Revision}, Mixed: x.Mixed, Restamped: x.Restamped, Stamper: x.Stamper, Carried: x.Carried,
	}
}

func (r *reader) router(x *abt2v1.RouterStatus) abt2.RouterStatus {
	return abt2.RouterStatus{
		ID: x.GetId(), Role: x.GetRole(), Version: r.version(x.GetVersion()), Connected: x.GetConnected(),
		Applied: abt2.Mark{Epoch: x.GetApplied().GetEpoch(), Revision: x.GetApplied().GetRevision()}, Mixed: x.GetMixed(), Restamped: x.GetRestamped(), Stamper: x.GetStamper(), Carried: x.GetCarried(),
	}
}

func shortageToWire(s abt2.Shortage) *abt2v1.Shortage {
	return &abt2v1.Shortage{Version: versionToWire(s.Version), Role: string(s.Role), Healthy: int32(s.Healthy), Want: int32(s.Want)}
}

func (r *reader) shortage(s *abt2v1.Shortage) abt2.Shortage {
	return abt2.Shortage{Version: r.version(s.GetVersion()), Role: abt2.Role(s.GetRole()), Healthy: int(s.GetHealthy()), Want: int(s.GetWant())}
}
