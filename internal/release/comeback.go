package release

import (
	"context"
	"errors"
	"slices"
	"time"

	"abt2.dev"
)

// bringBack starts what should run and does not, as after the machine's own
// start: first what users are served by, then what they would be led back to,
// then the rest. Each group has the machine to itself until it stands, or has
// had the time it was given to become ready.
func (e *Engine) bringBack(ctx context.Context, r *run) error {
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, role := range []abt2.Role{abt2.RoleOnline, abt2.RoleBackup, abt2.RolePreview} {
		first := firstRoles(s)
		if err := e.startMissing(ctx, r, func(v abt2.Version) bool { return first[v.ID] == role }); err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed = append(failed, err)
		}
		e.awaitStanding(ctx, s, func(v abt2.VersionID) bool { return first[v] == role })
	}
	return errors.Join(failed...)
}

// firstRoles gives each version that should run the most urgent role of the
// environments that name it. What nothing names yet, being shipped, is as
// urgent as a preview.
func firstRoles(s *abt2.State) map[abt2.VersionID]abt2.Role {
	out := map[abt2.VersionID]abt2.Role{}
	for v := range s.Versions {
		out[v] = abt2.RolePreview
	}
	for _, role := range []abt2.Role{abt2.RoleBackup, abt2.RoleOnline} {
		for _, e := range s.Live() {
			if s.Role(e.ID) == role {
				for _, v := range e.Modules {
					out[v] = role
				}
			}
		}
	}
	return out
}

// awaitStanding waits until nothing that which selects is starting any more, at
// most the longest of their ready_timeouts.
func (e *Engine) awaitStanding(ctx context.Context, s *abt2.State, which func(abt2.VersionID) bool) {
	starting := func(i abt2.Instance) bool { return i.State == abt2.InstanceStarting && which(i.Version) }
	var limit time.Duration
	for _, i := range e.running(true) {
		if v := s.Versions[i.Version]; v != nil && starting(i) {
			limit = max(limit, time.Duration(v.Config.ReadyTimeout))
		}
	}
	if limit == 0 {
		return
	}
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = e.await(wait, func() bool { return !slices.ContainsFunc(e.running(true), starting) }) // what takes longer holds nobody up
}

// missing lists the versions of which fewer instances are healthy than should be.
func (e *Engine) missing(s *abt2.State) []abt2.Shortage {
	var out []abt2.Shortage
	want, first, running := e.wanted(s), firstRoles(s), e.running(false)
	for _, v := range sortedVersions(want) {
		if n := healthy(running, v); n < want[v] {
			out = append(out, abt2.Shortage{Version: v, Role: first[v], Healthy: n, Want: want[v]})
		}
	}
	return out
}
