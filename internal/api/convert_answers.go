package api

import (
	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func startAnswerToWire(a abt2.StartAnswer) *abt2v1.StartResponse {
	return &abt2v1.StartResponse{
		Free: a.Free, Session: sessionToWire(a.Session),
		Parked: each(a.Parked, func(s abt2.Session) *abt2v1.Session { return sessionToWire(&s) }),
	}
}

func (r *reader) startAnswer(a *abt2v1.StartResponse) abt2.StartAnswer {
	out := abt2.StartAnswer{Free: a.GetFree(), Parked: each(a.GetParked(), r.session)}
	if a.GetSession() != nil {
		s := r.session(a.GetSession())
		out.Session = &s
	}
	return out
}

func sessionToWire(s *abt2.Session) *abt2v1.Session {
	if s == nil {
		return nil
	}
	out := &abt2v1.Session{
		Id: uint64(s.ID), Product: string(s.Product), Operator: s.Operator, Identity: s.Identity, Description: s.Description,
		State: string(s.State), Base: uint64(s.Base), Targets: map[string]*abt2v1.Target{}, Token: string(s.Token),
		Preview: uint64(s.Preview), WasOnline: uint64(s.WasOnline), Created: timeToWire(s.Created), Changed: timeToWire(s.Changed), Share: uint32(s.Share),
	}
	for m, t := range s.Targets {
		out.Targets[string(m)] = &abt2v1.Target{
			Put: versionToWire(t.Put), Shipped: versionToWire(t.Shipped), Removed: t.Removed, Moved: t.Moved, Prior: versionToWire(t.Prior), Failure: text(t.Failure),
		}
	}
	return out
}

// session never leaves the targets nil: a session without any is one, too.
func (r *reader) session(s *abt2v1.Session) abt2.Session {
	out := abt2.Session{
		ID: abt2.SessionID(s.GetId()), Product: abt2.ProductName(s.GetProduct()), Operator: s.GetOperator(), Identity: s.GetIdentity(),
		Description: s.GetDescription(), State: abt2.SessionState(s.GetState()), Base: abt2.EnvironmentID(s.GetBase()),
		Targets: map[abt2.ModuleName]*abt2.Target{}, Token: abt2.Token(s.GetToken()), Preview: abt2.EnvironmentID(s.GetPreview()), WasOnline: abt2.EnvironmentID(s.GetWasOnline()),
		Created: timeFromWire(s.GetCreated()), Changed: timeFromWire(s.GetChanged()), Share: abt2.Share(s.GetShare()),
	}
	for m, t := range s.GetTargets() {
		out.Targets[abt2.ModuleName(m)] = &abt2.Target{
			Put: r.version(t.GetPut()), Shipped: r.version(t.GetShipped()), Removed: t.GetRemoved(), Moved: t.GetMoved(), Prior: r.version(t.GetPrior()), Failure: t.GetFailure(),
		}
	}
	return out
}

func putAnswerToWire(a abt2.PutAnswer) *abt2v1.PutAnswer {
	return &abt2v1.PutAnswer{
		Version: versionToWire(a.Version), From: versionToWire(a.From), Digest: a.Digest, Same: a.Same,
		Changes: each(a.Changes, func(c abt2.FieldChange) *abt2v1.FieldChange {
			return &abt2v1.FieldChange{Field: c.Field, From: text(c.From), To: text(c.To)}
		}),
	}
}

func (r *reader) putAnswer(a *abt2v1.PutAnswer) abt2.PutAnswer {
	return abt2.PutAnswer{
		Version: r.version(a.GetVersion()), From: r.version(a.GetFrom()), Digest: a.GetDigest(), Same: a.GetSame(),
		Changes: each(a.GetChanges(), func(c *abt2v1.FieldChange) abt2.FieldChange {
			return abt2.FieldChange{Field: c.GetField(), From: c.GetFrom(), To: c.GetTo()}
		}),
	}
}

func planLineToWire(l abt2.PlanLine) *abt2v1.PlanLine {
	return &abt2v1.PlanLine{
		Module: string(l.Module), From: versionToWire(l.From), To: versionToWire(l.To), Size: l.Size, Digest: l.Digest,
		State: string(l.State), Detail: text(l.Detail),
	}
}

func (r *reader) planLine(l *abt2v1.PlanLine) abt2.PlanLine {
	return abt2.PlanLine{
		Module: abt2.ModuleName(l.GetModule()), From: r.version(l.GetFrom()), To: r.version(l.GetTo()), Size: l.GetSize(), Digest: l.GetDigest(),
		State: abt2.TargetState(l.GetState()), Detail: l.GetDetail(),
	}
}

func progressToWire(p abt2.Progress) *abt2v1.Progress {
	return &abt2v1.Progress{Module: string(p.Module), Step: p.Step, Text: text(p.Text), Done: narrow(p.Done), Total: narrow(p.Total)}
}

func progressFromWire(p *abt2v1.Progress) abt2.Progress {
	return abt2.Progress{Module: abt2.ModuleName(p.GetModule()), Step: p.GetStep(), Text: p.GetText(), Done: int(p.GetDone()), Total: int(p.GetTotal())}
}

func outcomeToWire(o abt2.Outcome) *abt2v1.Outcome {
	return &abt2v1.Outcome{
		Verb: string(o.Verb), From: uint64(o.From), To: uint64(o.To), Same: o.Same, Steps: each(o.Steps, text),
		Edges: narrow(o.Edges), Routers: narrow(o.Routers), Unconfirmed: each(o.Unconfirmed, text),
		Prepared: durationToWire(o.Prepared), Switched: durationToWire(o.Switched), Settled: durationToWire(o.Settled),
		Failed: each(o.Failed, func(f abt2.Failure) *abt2v1.Failure {
			return &abt2v1.Failure{Version: versionToWire(f.Version), Reason: text(f.Reason), Log: each(f.Log, text)}
		}),
		Share: uint32(o.Share), Warnings: each(o.Warnings, text), Cookie: o.Cookie, Link: o.Link, Next: o.Next,
	}
}

func (r *reader) outcome(o *abt2v1.Outcome) abt2.Outcome {
	return abt2.Outcome{
		Verb: abt2.Verb(o.GetVerb()), From: abt2.EnvironmentID(o.GetFrom()), To: abt2.EnvironmentID(o.GetTo()), Same: o.GetSame(), Steps: o.GetSteps(),
		Edges: int(o.GetEdges()), Routers: int(o.GetRouters()), Unconfirmed: o.GetUnconfirmed(),
		Prepared: durationFromWire(o.GetPrepared()), Switched: durationFromWire(o.GetSwitched()), Settled: durationFromWire(o.GetSettled()),
		Failed: each(o.GetFailed(), func(f *abt2v1.Failure) abt2.Failure {
			return abt2.Failure{Version: r.version(f.GetVersion()), Reason: f.GetReason(), Log: f.GetLog()}
		}),
		Share: abt2.Share(o.GetShare()), Warnings: o.GetWarnings(), Cookie: o.GetCookie(), Link: o.GetLink(), Next: o.GetNext(),
	}
}

func eventToWire(e abt2.Event) *abt2v1.Event {
	return &abt2v1.Event{
		Seq: e.Seq, Time: timeToWire(e.Time), Product: string(e.Product), Session: uint64(e.Session), Operator: e.Operator,
		Identity: e.Identity, Verb: e.Verb, From: uint64(e.From), To: uint64(e.To), Text: text(e.Text),
	}
}

func eventFromWire(e *abt2v1.Event) abt2.Event {
	return abt2.Event{
		Seq: e.GetSeq(), Time: timeFromWire(e.GetTime()), Product: abt2.ProductName(e.GetProduct()), Session: abt2.SessionID(e.GetSession()),
		Operator: e.GetOperator(), Identity: e.GetIdentity(), Verb: e.GetVerb(),
		From: abt2.EnvironmentID(e.GetFrom()), To: abt2.EnvironmentID(e.GetTo()), Text: e.GetText(),
	}
}

func differenceToWire(d abt2.Difference) *abt2v1.Difference {
	return &abt2v1.Difference{Part: d.Part, Object: text(d.Object), Should: text(d.Should), Is: text(d.Is), Remedy: text(d.Remedy), Meant: d.Meant}
}

func differenceFromWire(d *abt2v1.Difference) abt2.Difference {
	return abt2.Difference{Part: d.GetPart(), Object: d.GetObject(), Should: d.GetShould(), Is: d.GetIs(), Remedy: d.GetRemedy(), Meant: d.GetMeant()}
}
