package drill

import (
	"context"
	"fmt"

	"abt2.dev"
)

// scene is what a drill plays on: a product with two environments that can be
// switched between.
type scene struct {
	found, other abt2.EnvironmentStatus // online, and not
	edges        []string
	away, back   abt2.Verb // lead from found to other, and back
	faults       bool      // the server makes them: it was started to be drilled
}

// look finds the scene. The product must have a session of the operator with a
// whole preview, or a committed one with its backup.
func (d *Drill) look(ctx context.Context) (scene, error) {
	r := d.request
	s, err := d.service.Status(ctx, r.Product)
	if err != nil {
		return scene{}, err
	}
	op := "--op=" + r.Operator
	if r.Product != abt2.DefaultProduct {
		op += " --product=" + string(r.Product)
	}
	refuse := func(format string, args ...any) (scene, error) {
		return scene{}, abt2.Errorf(abt2.CodeRefused, format, args...)
	}
	switch {
	case s.Running != nil:
		return refuse("%s by %s is at work on %s; wait for it: abt2 status", s.Running.Verb, s.Running.Operator, r.Product)
	case s.Session == nil:
		return refuse("%s: a drill switches between two environments, and there is only one; make another: abt2 start create %s, "+
			"abt2 config put …, abt2 ship all %s; then drill, with the preview as the other", r.Product, op, op)
	case s.Session.Operator != r.Operator:
		return scene{}, abt2.Errorf(abt2.CodeOwner, "session %s is %s's, who may not expect a drill: ask, or wait until it is ended", s.Session.ID, s.Session.Operator)
	case len(s.Edges) == 0:
		return refuse("%s: has no edge to send requests to; look: abt2 status", r.Product)
	}
	sc := scene{found: *s.Online, edges: s.Edges, faults: s.Faults, away: abt2.VerbCommit, back: abt2.VerbRollback}
	switch {
	case s.Session.State == abt2.SessionCommitted && s.Backup != nil:
		sc.other, sc.away, sc.back = *s.Backup, abt2.VerbRollback, abt2.VerbCommit
	case s.Session.Share != 0:
		return refuse("%s: %s of the visitors are served from the preview, and a drill would move everybody; end the share: abt2 rollback %s; or end the release: abt2 commit %s",
			r.Product, s.Session.Share, op, op)
	case s.Preview == nil:
		return refuse("%s: the session has no preview yet, and a drill switches between two environments; ship one: abt2 ship all %s", r.Product, op)
	default:
		for _, t := range s.Session.Targets {
			if t.State != abt2.TargetShipped {
				return refuse("%s is %s, so commit would be refused; ship it: abt2 ship %s %s; or take it back: abt2 config drop %s --name=%s",
					t.Module, t.State, t.Module, op, op, t.Module)
			}
		}
		sc.other = *s.Preview
	}
	if len(sc.found.Modules) == 0 || len(sc.other.Modules) == 0 {
		return refuse("%s: environment %s or %s is empty, so its users would be answered 503; drill from the second release on", r.Product, sc.found.ID, sc.other.ID)
	}
	return sc, nil
}

// judge is what the scene's answers are checked against.
func (s scene) judge() judge {
	return judge{s.found.ID: s.found.Modules, s.other.ID: s.other.Modules}
}

// question is what somebody must agree to before the drill touches the product.
func (s scene) question(r abt2.DrillRequest) string {
	return fmt.Sprintf("product %s: users are switched between environments %s (online) and %s, %d times, under %d requests a second to %s",
		r.Product, s.found.ID, s.other.ID, r.Switches, r.Rate, join(targets(r, s.edges)))
}
