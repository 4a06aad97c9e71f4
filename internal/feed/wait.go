package feed

import (
	"context"
	"fmt"
	"strings"
	"time"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// WaitApplied waits until every known router that match selects, connected or
// not, has applied everything up to mark; nil selects all. Routers that join
// meanwhile are waited for too. When ctx ends first the error is of
// CodeUnconfirmed and names the laggards.
func (f *Feed) WaitApplied(ctx context.Context, mark abt2.Mark, match func(RouterStatus) bool) error {
	lags := func(r RouterStatus) bool { return (match == nil || match(r)) && !r.Applied.Covers(mark) }
	var last *router // seen lagging: while it lags nobody else is looked at, of what may be thousands
	err := f.wait(ctx, func() bool {
		if last != nil && f.routers[last.status.ID] == last && lags(last.status) {
			return false
		}
		for _, last = range f.routers {
			if lags(last.status) {
				return false
			}
		}
		return true
	})
	if err == nil {
		return nil
	}
	if late := f.routersThat(lags); len(late) > 0 {
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "revision %d is not applied by %s", mark.Revision, describe(late, func(r RouterStatus) string {
			switch {
			case !r.Connected:
				return fmt.Sprintf("not connected, has %d", r.Applied.Revision)
			case r.Refused != "":
				return "refused: " + r.Refused
			default:
				return fmt.Sprintf("has %d", r.Applied.Revision)
			}
		}))
	}
	return nil
}

// CloseStreams asks every connected edge, or every other connected router, to
// end what it carries of the environment, each stream in its protocol's polite
// way. WaitDrained tells when that is done.
func (f *Feed) CloseStreams(env abt2.EnvironmentID, edges bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read++
	for _, r := range f.routers {
		if r.stream != nil && r.isEdge() == edges {
			r.stream.ask(&feedpb.Read{Id: f.read, Subject: feedpb.Read_SUBJECT_REPORT, Drained: uint64(env), Close: uint64(env)})
		}
	}
}

// WaitDrained asks every connected router what it carries, and waits until each
// has answered, after the call began, that it carries nothing of the
// environment. An edge that is not connected is waited for: it may be handing
// over to a newer process. When ctx ends first the error is of CodeUnconfirmed and names
// who still carries how much of it, and the age of the oldest request.
func (f *Feed) WaitDrained(ctx context.Context, env abt2.EnvironmentID) error {
	f.mu.Lock()
	f.read++
	id := f.read
	f.mu.Unlock()
	asked := map[*stream]bool{}
	var late []RouterStatus
	err := f.wait(ctx, func() bool {
		late = nil
		for _, r := range f.routers {
			if r.stream == nil {
				if r.isEdge() {
					late = append(late, r.status)
				}
				continue
			}
			if !asked[r.stream] {
				asked[r.stream] = true
				r.stream.ask(&feedpb.Read{Id: id, Subject: feedpb.Read_SUBJECT_REPORT, Drained: uint64(env)})
			}
			if r.read < id || r.status.Carried[env].Count > 0 {
				late = append(late, r.status)
			}
		}
		return len(late) == 0
	})
	if err != nil {
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "environment %d is still carried by %s", env, describe(late, func(r RouterStatus) string {
			c := r.Carried[env]
			switch {
			case !r.Connected:
				return "not connected"
			case c.Count == 0:
				return "has not answered"
			}
			return fmt.Sprintf("%d, the oldest for %s", c.Count, c.Oldest.Round(time.Millisecond))
		}))
	}
	return nil
}

// describe lists routers for people.
func describe(routers []RouterStatus, detail func(RouterStatus) string) string {
	var parts []string
	for _, r := range routers {
		name := r.Role + " " + r.ID
		if !r.Version.IsZero() {
			name = r.Version.String() + " " + r.ID
		}
		parts = append(parts, name+" ("+detail(r)+")")
	}
	return strings.Join(parts, ", ")
}
