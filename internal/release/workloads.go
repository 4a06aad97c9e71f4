package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"abt2.dev"
)

func sortedVersions[T any](m map[abt2.VersionID]T) []abt2.VersionID {
	return slices.SortedFunc(maps.Keys(m), compareVersions)
}

// runVersion makes the platform run a version at a scale, without what operators
// have stopped of it, beside what is not to be any more.
func (e *Engine) runVersion(ctx context.Context, s *abt2.State, v abt2.VersionID, scale int, without ...abt2.InstanceID) error {
	ver := s.Versions[v]
	if ver.External() {
		return e.Platform.Apply(ctx, abt2.Workload{Version: *ver, Scale: scale})
	}
	if scale == 0 {
		return e.Platform.Remove(ctx, v)
	}
	source, err := e.Artifacts.Unpacked(ctx, ver.Artifact)
	if err != nil {
		return err
	}
	for _, i := range s.Stopped(v) {
		without = append(without, i.ID)
	}
	return e.Platform.Apply(ctx, abt2.Workload{Version: *ver, Scale: scale, Without: without, Source: source, Env: e.instanceEnv(s, v)})
}

// instanceEnv is what abt2 tells an instance about the world around it.
func (e *Engine) instanceEnv(s *abt2.State, v abt2.VersionID) map[string]string {
	env := maps.Clone(e.InstanceEnv)
	if env == nil {
		env = map[string]string{}
	}
	env["ABT2_PRODUCT"] = string(homeOf(s, v))
	for _, m := range s.Modules {
		if m.Address != "" && !m.Deleted {
			env["ABT2_NAME_"+m.Name.EnvName()] = m.Address
		}
	}
	return env
}

// homeOf is the product whose environments a version looks for itself in: the
// one that owns its module, else the first that names or is about to name it.
func homeOf(s *abt2.State, v abt2.VersionID) abt2.ProductName {
	if m := s.Modules[v.Module]; m != nil && m.Owner != "" {
		return m.Owner
	}
	for _, name := range slices.Sorted(maps.Keys(s.Products)) {
		for _, sess := range s.SessionsOf(s.Products[name]) {
			if sess.Targets[v.Module] != nil {
				return name
			}
		}
		if s.Online(s.Products[name]).Names(v) {
			return name
		}
	}
	return abt2.DefaultProduct
}

// wanted is what should run, the versions that a ship is starting and the
// replacements that a restart is bringing up included.
func (e *Engine) wanted(s *abt2.State) map[abt2.VersionID]int {
	out := desiredVersions(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	for v := range e.starting {
		if out[v] == 0 && s.Versions[v] != nil { // a state read a moment ago may not have it yet
			out[v] = scaleOf(s, v)
		}
	}
	for v, n := range e.spare {
		if out[v] > 0 {
			out[v] += n
		}
	}
	maps.DeleteFunc(out, func(_ abt2.VersionID, n int) bool { return n == 0 })
	return out
}

// startMissing makes run what should, as far as which, nil for all, selects it.
// One version that cannot be started keeps no other from it; the error names
// all that could not. Jobs that should not run end first: at no time do the old
// and the new one act together.
func (e *Engine) startMissing(ctx context.Context, r *run, which func(abt2.Version) bool) error {
	if err := e.placing.take(ctx); err != nil {
		return abt2.Wrap(abt2.CodeUnavailable, err, "the platform is still at work on another change of what runs")
	}
	defer e.placing.Unlock()
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	if err := e.observe(ctx); err != nil {
		return err
	}
	want := e.wanted(s)
	var failed []error
	held := map[abt2.ModuleName]bool{} // modules whose old job may still act
	for _, v := range e.runningVersions() {
		if ver := s.Versions[v]; want[v] == 0 && ver != nil && isJob(*ver) {
			r.report(v.Module, "stop", "ending job %s", v)
			if err := e.Platform.Remove(ctx, v); err != nil {
				failed = append(failed, abt2.Wrap(abt2.CodeFailed, err, "job %s could not be ended, so its successor has not been started", v))
				held[v.Module] = true
			}
		}
	}
	for _, v := range sortedVersions(want) {
		ver := *s.Versions[v]
		if which != nil && !which(ver) || isJob(ver) && held[v.Module] {
			continue
		}
		if err := e.runVersion(ctx, s, v, want[v]); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			failed = append(failed, abt2.Wrap(abt2.CodeFailed, err, "%s could not be started", v))
		}
	}
	if err := e.observe(ctx); err != nil {
		return err
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

func isJob(v abt2.Version) bool { return v.Config.Kind == abt2.KindJob }

// stopUnused ends versions of ours that nothing names any more. The caller has
// seen that no router knows them. Versions that abt2 does not know stay, unless prune.
func (e *Engine) stopUnused(ctx context.Context, r *run, prune bool) error {
	if err := e.placing.take(ctx); err != nil {
		return abt2.Wrap(abt2.CodeUnavailable, err, "the platform is still at work on another change of what runs")
	}
	defer e.placing.Unlock()
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	if err := e.observe(ctx); err != nil {
		return err
	}
	want := e.wanted(s)
	for _, v := range e.runningVersions() {
		if want[v] > 0 || (s.Versions[v] == nil && !prune) {
			continue
		}
		if ver := s.Versions[v]; ver.External() {
			r.report(v.Module, "stop", "letting go of %s, which goes on where it runs", v)
		} else {
			r.report(v.Module, "stop", "stopping %s", v)
		}
		if err := e.Platform.Remove(ctx, v); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "%s could not be stopped; again: abt2 refresh", v)
		}
	}
	return e.observe(ctx)
}

// runningVersions lists the versions of which anything runs.
func (e *Engine) runningVersions() []abt2.VersionID {
	seen := map[abt2.VersionID]bool{}
	for _, i := range e.running(true) {
		seen[i.Version] = true
	}
	return sortedVersions(seen)
}

// lastLines returns the end of what the version's instances printed.
func (e *Engine) lastLines(ctx context.Context, ver *abt2.Version, n int) []string {
	logs, ok := e.Platform.(abt2.LogReader)
	if !ok || ver.External() {
		return nil
	}
	v := ver.ID
	var b strings.Builder
	if err := logs.Logs(ctx, v, n, false, &b); err != nil {
		return []string{fmt.Sprintf("(its logs cannot be read: %v)", err)}
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}
