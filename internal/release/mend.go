package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// refresh makes reality match the state. It never moves users.
func (e *Engine) refresh(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	var out abt2.Outcome
	if err := e.startMissing(ctx, r, nil); err != nil {
		return out, err
	}
	for _, s := range e.syncers {
		s.again()
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return out, err
	}
	if err := e.waitHealthy(ctx, r, s, desiredVersions(s)); err != nil {
		out.Warnings = append(out.Warnings, err.Error())
	}
	mark, err := e.publish(ctx)
	if err != nil {
		return out, err
	}
	ack, cancel := context.WithTimeout(ctx, q.AckTimeout)
	defer cancel()
	out.Unconfirmed = e.confirm(ack, mark, isConnected, nil).missing()
	settle, cancelSettle := context.WithTimeout(ctx, q.SettleTimeout)
	defer cancelSettle()
	if err := e.settle(settle, r, q.Product); err != nil {
		out.Warnings = append(out.Warnings, err.Error())
	}
	late, err := e.retire(ctx, r, q.DrainTimeout)
	out.Warnings = append(out.Warnings, late...)
	if err != nil {
		return out, err
	}
	if q.Prune {
		if err := e.stopUnused(ctx, r, true); err != nil {
			return out, err
		}
	}
	out.From, out.To = s.Products[q.Product].Online, s.Products[q.Product].Online
	out.Next = nextFor(s, q.Product, q.Operator)
	if len(out.Unconfirmed)+len(out.Warnings) > 0 {
		return out, abt2.Errorf(abt2.CodeFailed, "not all is mended: %s; look: abt2 validate", strings.Join(append(out.Unconfirmed, out.Warnings...), "; "))
	}
	return out, nil
}

// mendingSteps says what refresh would do.
func (e *Engine) mendingSteps(ctx context.Context, s *abt2.State, q abt2.VerbRequest) ([]string, error) {
	differences, err := e.Validate(ctx, abt2.ValidateRequest{Product: q.Product})
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, d := range differences {
		switch {
		case d.Meant: // there is nothing to mend
		case d.Should == strayShould && d.Part == "platform" && q.Prune:
			steps = append(steps, fmt.Sprintf("end %s: %s", d.Object, d.Is))
		case d.Should == strayShould, d.Part == "routers":
			steps = append(steps, fmt.Sprintf("leave %s as it is: %s; %s", d.Object, d.Is, d.Remedy))
		default:
			steps = append(steps, fmt.Sprintf("make %s %s: %s (now %s)", d.Part, d.Object, d.Should, d.Is))
		}
	}
	if s.Products[q.Product].Unsettled {
		steps = append(steps, "let unversioned names and jobs follow the last switch")
	}
	for _, id := range s.Products[q.Product].Retiring {
		steps = append(steps, fmt.Sprintf("take environment %d down", id))
	}
	return steps, nil
}

// waitHealthy waits until these versions have their scale of healthy
// instances, at most the longest of their ready_timeouts.
func (e *Engine) waitHealthy(ctx context.Context, r *run, s *abt2.State, want map[abt2.VersionID]int) error {
	limit := time.Second
	for v := range want {
		limit = max(limit, time.Duration(s.Versions[v].Config.ReadyTimeout))
	}
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var short []string
	if e.await(wait, func() bool {
		short = short[:0]
		running := e.running(false)
		for _, v := range sortedVersions(want) {
			if !stands(running, s.Versions[v], want[v]) {
				short = append(short, fmt.Sprintf("%s: %d of %d healthy", v, healthy(running, v), want[v]))
			}
		}
		if len(short) > 0 {
			r.report("", "wait", "%s", strings.Join(short, ", "))
		}
		return len(short) == 0
	}) != nil {
		return abt2.Errorf(abt2.CodeFailed, "not healthy within %s: %s", limit, strings.Join(short, ", "))
	}
	return nil
}

// scale changes how many instances of each version of a module run, at once.
// What is to end leaves the table first, so that no call is on its way to it.
func (e *Engine) scale(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	s, err := e.Store.Update(ctx, func(s *abt2.State) error { return s.SetScale(q.Product, r.actor, q.Scale) })
	if err != nil {
		return abt2.Outcome{}, err
	}
	out := abt2.Outcome{From: s.Products[q.Product].Online, To: s.Products[q.Product].Online, Next: nextFor(s, q.Product, q.Operator)}
	want := desiredVersions(s)
	for v := range want {
		if _, asked := q.Scale[v.Module]; !asked || s.Versions[v].External() {
			delete(want, v)
		}
	}
	e.cordon(want)
	mark, err := e.publish(ctx)
	if err != nil {
		return out, err
	}
	ack, cancel := context.WithTimeout(ctx, q.AckTimeout)
	defer cancel()
	if missing := e.confirm(ack, mark, isConnected, nil).missing(); len(missing) > 0 {
		out.Warnings = append(out.Warnings, "not confirmed before instances ended: "+few(missing))
	}
	if err := e.startMissing(ctx, r, nil); err != nil {
		return out, err
	}
	if err := e.waitHealthy(ctx, r, s, want); err != nil {
		return out, err
	}
	_, err = e.publish(ctx)
	return out, err
}

// cordon takes the instances beyond the wanted scale out of the table: the
// youngest, which are those that Platform.Apply ends.
func (e *Engine) cordon(want map[abt2.VersionID]int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	count := map[abt2.VersionID]int{}
	for _, i := range slices.SortedFunc(slices.Values(e.instances), compareAge) {
		if n, asked := want[i.Version]; asked {
			if count[i.Version]++; count[i.Version] > n {
				e.cordoned[i.ID] = true
			}
		}
	}
}

// compareAge orders instances of one version, the oldest first: platforms count
// them, so of two ids the longer is the younger (order-1-10 after order-1-9).
func compareAge(a, b abt2.Instance) int {
	return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
}
