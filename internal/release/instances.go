package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// chosen finds the instances that the verb is about, refusing what it may not do
// to them. Those to which it has been done already are left out.
func (e *Engine) chosen(s *abt2.State, q abt2.VerbRequest) ([]abt2.Instance, error) {
	if len(q.Instances) == 0 {
		return nil, abt2.Errorf(abt2.CodeInvalid, "%s: name an instance, like order-3-17; abt2 instance list names those that there are", q.Verb)
	}
	running, stopped := e.byID(), map[abt2.InstanceID]abt2.StoppedInstance{}
	for _, m := range s.Modules {
		for _, i := range m.Stopped {
			stopped[i.ID] = i
		}
	}
	var out []abt2.Instance
	for _, id := range q.Instances {
		i, runs := running[id]
		was, isStopped := stopped[id]
		switch {
		case !runs && !isStopped:
			return nil, abt2.Errorf(abt2.CodeNotFound, "instance %q: does not exist; those that do: abt2 instance list", id)
		case isStopped && q.Verb == abt2.VerbInstanceRestart:
			return nil, abt2.Errorf(abt2.CodeRefused, "instance %s: was %s; start it: abt2 instance start %s", id, stoppedText(was), id)
		case isStopped && q.Verb == abt2.VerbInstanceStart:
			out = append(out, abt2.Instance{ID: id, Version: was.Version})
		case isStopped, q.Verb == abt2.VerbInstanceStart:
		default:
			if err := e.mayTouch(s, i); err != nil {
				return nil, err
			}
			out = append(out, i)
		}
	}
	if q.Verb == abt2.VerbInstanceStop && !q.Force {
		return out, e.checkLast(s, out, q.Operator)
	}
	return out, nil
}

// mayTouch refuses instances whose coming and going is somebody else's.
func (e *Engine) mayTouch(s *abt2.State, i abt2.Instance) error {
	ver := s.Versions[i.Version]
	switch {
	case ver == nil:
		return abt2.Errorf(abt2.CodeRefused, "instance %s: is of %s, which abt2 does not know; end it yourself, or abt2 refresh --prune", i.ID, i.Version)
	case ver.External():
		return abt2.Errorf(abt2.CodeRefused, "instance %s: is external at %s, and abt2 does not start or stop it; do it where it runs", i.ID, i.Address)
	case namedVersions(s)[i.Version] == 0:
		return abt2.Errorf(abt2.CodeRefused, "instance %s: no environment names %s yet, or any more; it comes or goes with the verb that is at work: abt2 status", i.ID, i.Version)
	}
	return nil
}

// checkLast refuses to end the last healthy instances of a version that
// requests may be routed to.
func (e *Engine) checkLast(s *abt2.State, ending []abt2.Instance, operator string) error {
	ends, last := map[abt2.InstanceID]bool{}, map[abt2.VersionID]abt2.InstanceID{}
	for _, i := range ending {
		ends[i.ID] = true
		if i.State == abt2.InstanceHealthy && !isJob(*s.Versions[i.Version]) {
			last[i.Version] = i.ID
		}
	}
	for _, m := range s.Modules {
		for _, i := range m.Stopped {
			ends[i.ID] = true // it may still be at its end
		}
	}
	for _, i := range e.running(false) {
		if i.State == abt2.InstanceHealthy && !ends[i.ID] {
			delete(last, i.Version)
		}
	}
	if len(last) == 0 {
		return nil
	}
	v := sortedVersions(last)[0]
	first := fmt.Sprintf("abt2 scale %s=%d --op=%s", v.Module, s.Modules[v.Module].Scale+1, operator)
	if stopped := s.Stopped(v); len(stopped) > 0 {
		first = fmt.Sprintf("abt2 instance start %s --op=%s", stopped[0].ID, operator)
	}
	return abt2.Errorf(abt2.CodeRefused, "instance %s: is the last healthy one of %s, which is %s: requests to it would be answered 503; start another first: %s; or stop it all the same: --force",
		last[v], v, strings.Join(roleWords(s, v), " and "), first)
}

func roleWords(s *abt2.State, v abt2.VersionID) []string {
	var out []string
	for _, r := range inOrder(tagsOf(s)[v]) {
		out = append(out, string(r))
	}
	if len(out) == 0 {
		return []string{"being taken down"}
	}
	return out
}

func (e *Engine) byID() map[abt2.InstanceID]abt2.Instance {
	out := map[abt2.InstanceID]abt2.Instance{}
	for _, i := range e.running(true) {
		out[i.ID] = i
	}
	return out
}

// instanceSteps says what a verb about instances would do.
func (e *Engine) instanceSteps(s *abt2.State, q abt2.VerbRequest) ([]string, error) {
	list, err := e.chosen(s, q)
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, i := range list {
		switch q.Verb {
		case abt2.VerbInstanceStart:
			steps = append(steps, fmt.Sprintf("start an instance of %s in the place of %s", i.Version, i.ID))
		case abt2.VerbInstanceStop:
			steps = append(steps, fmt.Sprintf("take %s of %s out of the table, then end it", i.ID, i.Version))
		case abt2.VerbInstanceRestart:
			steps = append(steps, fmt.Sprintf("start another instance of %s, then take %s out of the table and end it", i.Version, i.ID))
		}
	}
	return steps, nil
}

// onTheirWay is the outcome that verbs about instances begin with.
func onTheirWay(s *abt2.State, q abt2.VerbRequest) abt2.Outcome {
	p := s.Products[q.Product]
	return abt2.Outcome{From: p.Online, To: p.Online, Next: nextFor(s, q.Product, q.Operator)}
}

// stopInstances ends instances until an operator starts them again. They leave
// the table first, so that no call is on its way to them.
func (e *Engine) stopInstances(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	if err := e.observe(ctx); err != nil {
		return abt2.Outcome{}, err
	}
	var list []abt2.Instance
	s, err := e.Store.Update(ctx, func(s *abt2.State) (err error) {
		if list, err = e.chosen(s, q); err != nil {
			return err
		}
		return s.StopInstances(q.Product, r.actor, list)
	})
	if err != nil {
		return abt2.Outcome{}, err
	}
	out := onTheirWay(s, q)
	if out.Same = len(list) == 0; out.Same {
		return out, nil
	}
	if out.Warnings, err = e.withdraw(ctx, r, list); err != nil {
		return out, err
	}
	if err := e.placing.take(ctx); err != nil {
		return out, err
	}
	defer e.placing.Unlock()
	if s, err = e.Store.State(ctx); err != nil { // what was stopped may have been started again
		return out, err
	}
	for _, v := range versionsOf(list) {
		r.report(v.Module, "stop", "ending %s", strings.Join(idsOf(list, v), ", "))
		if err := e.runVersion(ctx, s, v, e.wanted(s)[v]); err != nil {
			return out, abt2.Wrap(abt2.CodeFailed, err, "%s: not all that was to end has ended; again: abt2 refresh", v)
		}
	}
	return out, e.observe(ctx)
}

// withdraw takes instances out of the table and waits until nobody calls them
// any more. It returns who could not be waited for.
func (e *Engine) withdraw(ctx context.Context, r *run, list []abt2.Instance) (warnings []string, err error) {
	e.mu.Lock()
	for _, i := range list {
		e.cordoned[i.ID] = true
	}
	e.mu.Unlock()
	mark, err := e.publish(ctx)
	if err != nil {
		return nil, err
	}
	ack, cancel := context.WithTimeout(ctx, r.request.AckTimeout)
	defer cancel()
	ending := map[string]bool{}
	for _, i := range list {
		ending[string(i.ID)] = true
	}
	others := func(s abt2.RouterStatus) bool { return s.Connected && !ending[s.ID] }
	if missing := e.confirm(ack, mark, others, nil).missing(); len(missing) > 0 {
		warnings = append(warnings, "not confirmed before instances ended: "+few(missing))
	}
	return warnings, ctx.Err()
}

// startInstances lets others take the place of instances that were stopped.
func (e *Engine) startInstances(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	var list []abt2.Instance
	s, err := e.Store.Update(ctx, func(s *abt2.State) (err error) {
		if list, err = e.chosen(s, q); err != nil {
			return err
		}
		return s.StartInstances(q.Product, r.actor, q.Instances)
	})
	if err != nil {
		return abt2.Outcome{}, err
	}
	out := onTheirWay(s, q)
	if out.Same = len(list) == 0; out.Same {
		return out, nil
	}
	concerned := map[abt2.VersionID]int{}
	for _, v := range versionsOf(list) {
		if n := desiredVersions(s)[v]; n > 0 {
			concerned[v] = n
			r.report(v.Module, "start", "starting %s again", v)
		}
	}
	if err := e.startMissing(ctx, r, func(v abt2.Version) bool { return concerned[v.ID] > 0 }); err != nil {
		return out, err
	}
	if err := e.waitHealthy(ctx, r, s, concerned); err != nil {
		return out, err
	}
	_, err = e.publish(ctx)
	return out, err
}

// restartInstances replaces instances, one after the other. Of what is called
// the replacement is healthy before the instance leaves, so that there is never
// less of it; a job ends first.
func (e *Engine) restartInstances(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	if err := e.observe(ctx); err != nil {
		return abt2.Outcome{}, err
	}
	var list []abt2.Instance
	s, err := e.Store.Update(ctx, func(s *abt2.State) (err error) {
		if list, err = e.chosen(s, q); err != nil {
			return err
		}
		return s.RestartInstances(q.Product, r.actor, q.Instances)
	})
	if err != nil {
		return abt2.Outcome{}, err
	}
	out := onTheirWay(s, q)
	for _, i := range list {
		replace := e.replace
		if isJob(*s.Versions[i.Version]) {
			replace = e.replaceJob
		}
		warnings, err := replace(ctx, r, i)
		out.Warnings = append(out.Warnings, warnings...)
		if err != nil {
			return out, err
		}
	}
	_, err = e.publish(ctx)
	return out, err
}

// replace brings up another instance of the same version, and then ends i.
func (e *Engine) replace(ctx context.Context, r *run, i abt2.Instance) (warnings []string, err error) {
	v := i.Version
	e.addSpare(v, 1)
	spare := true
	withoutSpare := func() {
		if spare {
			e.addSpare(v, -1)
		}
		spare = false
	}
	defer withoutSpare()
	before := e.byID()
	r.report(v.Module, "start", "starting another %s in the place of %s", v, i.ID)
	s, err := e.placeVersion(ctx, v, nil)
	if err != nil {
		return nil, err
	}
	limit := time.Duration(s.Versions[v].Config.ReadyTimeout)
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fresh := func(x abt2.Instance) bool {
		_, old := before[x.ID]
		return x.Version == v && !old && x.State == abt2.InstanceHealthy
	}
	if e.await(wait, func() bool { return slices.ContainsFunc(e.running(false), fresh) }) != nil {
		withoutSpare() // which is the youngest, so that it ends and i goes on
		_, err := e.placeVersion(context.WithoutCancel(ctx), v, nil)
		late := abt2.Errorf(abt2.CodeFailed, "%s: goes on as it was, for what was to replace it was not healthy within ready_timeout %s: %s; see abt2 logs %s", i.ID, limit, orNothing(e.complaint(s.Versions[v])), v)
		return nil, errors.Join(late, err, context.Cause(ctx))
	}
	r.report(v.Module, "healthy", "the replacement of %s is healthy", i.ID)
	if _, err := e.publish(ctx); err != nil {
		return nil, err
	}
	listed := e.awaitListed(ctx) // where callers look for instances in a registry, too
	warnings, err = e.withdraw(ctx, r, []abt2.Instance{i})
	warnings = append(listed, warnings...)
	if err != nil {
		return warnings, err
	}
	withoutSpare()
	r.report(v.Module, "stop", "ending %s", i.ID)
	_, err = e.placeVersion(ctx, v, []abt2.InstanceID{i.ID})
	return warnings, err
}

func orNothing(s string) string {
	if s == "" {
		return "it says nothing"
	}
	return s
}

func (e *Engine) addSpare(v abt2.VersionID, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.spare[v] += n; e.spare[v] == 0 {
		delete(e.spare, v)
	}
}

// replaceJob ends i, and then starts another: at no time do both act.
func (e *Engine) replaceJob(ctx context.Context, r *run, i abt2.Instance) ([]string, error) {
	v := i.Version
	e.addSpare(v, -1)
	r.report(v.Module, "stop", "ending job %s", i.ID)
	_, err := e.placeVersion(ctx, v, []abt2.InstanceID{i.ID})
	e.addSpare(v, 1)
	if err != nil {
		return nil, err
	}
	r.report(v.Module, "start", "starting job %s again", v)
	_, err = e.placeVersion(ctx, v, nil)
	return nil, err
}

// placeVersion makes run what should of a version, without some instances.
func (e *Engine) placeVersion(ctx context.Context, v abt2.VersionID, without []abt2.InstanceID) (*abt2.State, error) {
	if err := e.placing.take(ctx); err != nil {
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "the platform is still at work on another change of what runs")
	}
	defer e.placing.Unlock()
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.runVersion(ctx, s, v, e.wanted(s)[v], without...); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "%s: what runs of it could not be changed", v)
	}
	return s, e.observe(ctx)
}

func versionsOf(list []abt2.Instance) []abt2.VersionID {
	seen := map[abt2.VersionID]bool{}
	for _, i := range list {
		seen[i.Version] = true
	}
	return slices.SortedFunc(maps.Keys(seen), compareVersions)
}

func idsOf(list []abt2.Instance, v abt2.VersionID) []string {
	var out []string
	for _, i := range list {
		if i.Version == v {
			out = append(out, string(i.ID))
		}
	}
	return out
}
