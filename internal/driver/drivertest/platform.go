// Package drivertest holds one suite for each driver contract. Every driver,
// the fakes included, passes the same one.
package drivertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

// Fixture is what the suite needs beside a platform to see what it does.
type Fixture struct {
	// Workload returns something to run that becomes healthy, prints a line at
	// least, and ends when it is told to.
	Workload func(t *testing.T, v abt2.VersionID, scale int) abt2.Workload
	// Crash makes an instance's process end by itself. Nil: the platform starts
	// nothing itself, so nothing crashes, and there are no jobs.
	Crash func(t *testing.T, i abt2.Instance)
	// Lives tells whether anything of an instance that was healthy is still there.
	Lives func(t *testing.T, i abt2.Instance) bool
	// Reopen returns another driver value on the same state, as after the
	// server's death. The old value is not used any more.
	Reopen func(t *testing.T) abt2.Platform
}

// Platform checks the promises of abt2.Platform, and those of abt2.LogReader and
// abt2.Saboteur where the platform has the ability. Each test gets a platform of
// its own.
func Platform(t *testing.T, open func(t *testing.T) (abt2.Platform, Fixture)) {
	t.Helper()
	tests := []struct {
		name string
		run  func(s *platformSuite)
	}{
		{"ApplyIsIdempotent", applyIsIdempotent},
		{"YoungestEndFirst", youngestEndFirst},
		{"WithoutSome", withoutSome},
		{"RemoveAbsentSucceeds", removeAbsentSucceeds},
		{"RemoveProvesEnded", removeProvesEnded},
		{"IDsAreNeverUsedAgain", idsAreNeverUsedAgain},
		{"WatchSignals", watchSignals},
		{"CrashKeepsTheID", crashKeepsTheID},
		{"VersionsSideBySide", versionsSideBySide},
		{"JobsHaveNoAddress", jobsHaveNoAddress},
		{"BadWorkloadChangesNothing", badWorkloadChangesNothing},
		{"EndedContextReturnsItsCause", endedContextReturnsItsCause},
		{"AtOnce", atOnce},
		{"Reopen", reopen},
		{"Logs", logs},
		{"KillIsACrash", killIsACrash},
		{"FaultsEndByThemselves", faultsEndByThemselves},
		{"FaultsAreBounded", faultsAreBounded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p, f := open(t)
			test.run(&platformSuite{T: t, ctx: ctx, p: p, f: f})
		})
	}
}

type platformSuite struct {
	*testing.T
	ctx context.Context
	p   abt2.Platform
	f   Fixture
}

var (
	order1 = abt2.VersionID{Module: "order", Number: 1}
	order2 = abt2.VersionID{Module: "order", Number: 2}
	stock1 = abt2.VersionID{Module: "stock", Number: 1}
)

func (s *platformSuite) apply(v abt2.VersionID, scale int) {
	s.Helper()
	if err := s.p.Apply(s.ctx, s.f.Workload(s.T, v, scale)); err != nil {
		s.Fatalf("Apply %s at scale %d: %v", v, scale, err)
	}
}

func (s *platformSuite) remove(v abt2.VersionID) {
	s.Helper()
	if err := s.p.Remove(s.ctx, v); err != nil {
		s.Fatalf("Remove %s: %v", v, err)
	}
}

func (s *platformSuite) instances() []abt2.Instance {
	s.Helper()
	all, err := s.p.Instances(s.ctx)
	if err != nil {
		s.Fatalf("Instances: %v", err)
	}
	byID := func(a, b abt2.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) }
	if !slices.IsSortedFunc(all, byID) {
		s.Errorf("Instances are not sorted by id: %v", ids(all))
	}
	return all
}

func (s *platformSuite) of(v abt2.VersionID) []abt2.Instance {
	s.Helper()
	return slices.DeleteFunc(s.instances(), func(i abt2.Instance) bool { return i.Version != v })
}

// until watches the platform until ok, and fails with what was seen last.
func (s *platformSuite) until(what string, ok func([]abt2.Instance) bool) []abt2.Instance {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	changed, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.p.Watch(ctx, changed)
	}()
	defer func() { cancel(); <-done }()
	var all []abt2.Instance
	for {
		select {
		case <-changed:
		case <-s.ctx.Done():
			s.Fatalf("%s: not seen; last: %+v", what, all)
		}
		if all = s.instances(); ok(all) {
			return all
		}
	}
}

// healthy waits until a version has so many healthy instances and no others.
func (s *platformSuite) healthy(v abt2.VersionID, scale int) []abt2.Instance {
	s.Helper()
	s.until(fmt.Sprintf("%d healthy instances of %s", scale, v), func(all []abt2.Instance) bool {
		n := 0
		for _, i := range all {
			if i.Version != v {
				continue
			}
			if i.State != abt2.InstanceHealthy {
				return false
			}
			n++
		}
		return n == scale
	})
	return s.of(v)
}

func ids(all []abt2.Instance) []abt2.InstanceID {
	var out []abt2.InstanceID
	for _, i := range all {
		out = append(out, i.ID)
	}
	return out
}

func (s *platformSuite) same(what string, got, want []abt2.InstanceID) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("%s: instances %v, want %v", what, got, want)
	}
}

func applyIsIdempotent(s *platformSuite) {
	s.apply(order1, 2)
	before := s.healthy(order1, 2)
	s.apply(order1, 2)
	after := s.healthy(order1, 2)
	s.same("after the same Apply again", ids(after), ids(before))
	for n := range after {
		if after[n].Restarts != before[n].Restarts || after[n].Address != before[n].Address {
			s.Errorf("the same Apply again changed %+v to %+v", before[n], after[n])
		}
	}
}

func youngestEndFirst(s *platformSuite) {
	var inOrder []abt2.InstanceID
	for n := 1; n <= 3; n++ {
		s.apply(order1, n)
		for _, i := range s.of(order1) {
			if !slices.Contains(inOrder, i.ID) {
				inOrder = append(inOrder, i.ID)
			}
		}
		if len(inOrder) != n {
			s.Fatalf("scale %d: instances so far %v", n, inOrder)
		}
	}
	gone := s.healthy(order1, 3)
	s.apply(order1, 1)
	s.same("scaled down to 1", ids(s.of(order1)), inOrder[:1])
	for _, i := range gone {
		if i.ID != inOrder[0] && s.f.Lives(s.T, i) {
			s.Errorf("%s lives on after scaling down", i.ID)
		}
	}
}

// withoutSome ends exactly those that are not to be, however old, and brings them
// back by no repetition, nor in another driver value.
func withoutSome(s *platformSuite) {
	s.startsItself()
	s.apply(order1, 3)
	old := s.healthy(order1, 3)
	slices.SortFunc(old, func(a, b abt2.Instance) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	w := s.f.Workload(s.T, order1, 2)
	w.Without = []abt2.InstanceID{old[0].ID, "order-1-999999"}
	want := []abt2.InstanceID{old[1].ID, old[2].ID}
	slices.Sort(want)
	for range 2 {
		if err := s.p.Apply(s.ctx, w); err != nil {
			s.Fatal(err)
		}
		s.same("without the oldest", ids(s.of(order1)), want)
		if s.f.Lives(s.T, old[0]) {
			s.Errorf("%s lives on", old[0].ID)
		}
		s.p = s.f.Reopen(s.T)
	}
	// At the old scale another one takes its place.
	w.Scale = 3
	if err := s.p.Apply(s.ctx, w); err != nil {
		s.Fatal(err)
	}
	for _, i := range s.healthy(order1, 3) {
		if i.ID == old[0].ID {
			s.Errorf("%s is back", i.ID)
		}
	}
}

func removeAbsentSucceeds(s *platformSuite) {
	s.remove(order1)
	s.apply(order2, 1)
	s.remove(order1)
	s.remove(order1)
	s.healthy(order2, 1)
}

func removeProvesEnded(s *platformSuite) {
	s.apply(order1, 2)
	s.apply(stock1, 1)
	mine, other := s.healthy(order1, 2), s.healthy(stock1, 1)
	for _, i := range mine {
		if !s.f.Lives(s.T, i) {
			s.Fatalf("%s is healthy, but nothing of it lives", i.ID)
		}
	}
	s.remove(order1)
	for _, i := range mine {
		if s.f.Lives(s.T, i) {
			s.Errorf("%s lives on after Remove", i.ID)
		}
	}
	s.same("after Remove", ids(s.instances()), ids(other))
}

func idsAreNeverUsedAgain(s *platformSuite) {
	seen := map[abt2.InstanceID]bool{}
	for range 3 {
		s.apply(order1, 2)
		for _, i := range s.of(order1) {
			if seen[i.ID] {
				s.Errorf("%s was used before", i.ID)
			}
			seen[i.ID] = true
		}
		s.remove(order1)
		s.p = s.f.Reopen(s.T)
	}
	if len(seen) != 6 {
		s.Errorf("%d ids given, want 6", len(seen))
	}
}

// startsItself skips what only a platform that starts processes promises.
func (s *platformSuite) startsItself() {
	s.Helper()
	if s.f.Crash == nil {
		s.Skip("the platform starts nothing itself")
	}
}

func watchSignals(s *platformSuite) {
	cause := errors.New("enough seen")
	ctx, cancel := context.WithCancelCause(s.ctx)
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- s.p.Watch(ctx, changed) }()
	signal := func(what string) {
		s.Helper()
		select {
		case <-changed:
		case err := <-ended:
			s.Fatalf("Watch ended: %v", err)
		case <-s.ctx.Done():
			s.Fatalf("%s: no signal", what)
		}
	}
	signal("at the beginning")
	s.apply(order1, 1)
	for len(s.of(order1)) == 0 || s.of(order1)[0].State != abt2.InstanceHealthy {
		signal("until healthy")
	}
	if s.f.Crash != nil {
		s.f.Crash(s.T, s.of(order1)[0])
		for s.of(order1)[0].Restarts == 0 {
			signal("after a crash")
		}
	}
	cancel(cause)
	select {
	case err := <-ended:
		if !errors.Is(err, cause) {
			s.Errorf("Watch returned %v, want the context's cause", err)
		}
	case <-s.ctx.Done():
		s.Fatal("Watch goes on after its context has ended")
	}
}

func crashKeepsTheID(s *platformSuite) {
	s.startsItself()
	s.apply(order1, 1)
	before := s.healthy(order1, 1)[0]
	s.f.Crash(s.T, before)
	s.until("a restart", func(all []abt2.Instance) bool {
		return len(all) == 1 && all[0].Restarts > before.Restarts && all[0].State == abt2.InstanceHealthy
	})
	after := s.of(order1)[0]
	if after.ID != before.ID || after.Address != before.Address {
		s.Errorf("after a crash: %s at %s, want %s at %s", after.ID, after.Address, before.ID, before.Address)
	}
}

func versionsSideBySide(s *platformSuite) {
	s.apply(order1, 2)
	s.apply(order2, 2)
	seen := map[string]abt2.InstanceID{}
	for _, i := range append(s.healthy(order1, 2), s.healthy(order2, 2)...) {
		if other, ok := seen[i.Address]; ok || i.Address == "" {
			s.Errorf("%s has the address %q, and so has %s", i.ID, i.Address, other)
		}
		seen[i.Address] = i.ID
	}
	s.remove(order1)
	s.healthy(order2, 2)
}

func jobsHaveNoAddress(s *platformSuite) {
	s.startsItself()
	w := s.f.Workload(s.T, order1, 1)
	w.Version.Config.Kind, w.Version.Config.Health = abt2.KindJob, ""
	if err := s.p.Apply(s.ctx, w); err != nil {
		s.Fatalf("Apply: %v", err)
	}
	if i := s.healthy(order1, 1)[0]; i.Address != "" {
		s.Errorf("a job has the address %q", i.Address)
	}
}

func badWorkloadChangesNothing(s *platformSuite) {
	s.apply(order1, 1)
	before := s.healthy(order1, 1)
	for _, w := range []abt2.Workload{s.f.Workload(s.T, order1, 0), s.f.Workload(s.T, abt2.VersionID{}, 1)} {
		if err := s.p.Apply(s.ctx, w); abt2.CodeOf(err) != abt2.CodeInvalid {
			s.Errorf("Apply %q at scale %d: %v, want CodeInvalid", w.Version.ID, w.Scale, err)
		}
	}
	s.same("after bad workloads", ids(s.instances()), ids(before))
}

func endedContextReturnsItsCause(s *platformSuite) {
	cause := errors.New("the operator left")
	ctx, cancel := context.WithCancelCause(s.ctx)
	cancel(cause)
	w := s.f.Workload(s.T, order1, 1)
	calls := map[string]func() error{
		"Apply":     func() error { return s.p.Apply(ctx, w) },
		"Remove":    func() error { return s.p.Remove(ctx, order1) },
		"Instances": func() error { _, err := s.p.Instances(ctx); return err },
		"Watch":     func() error { return s.p.Watch(ctx, make(chan struct{})) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, cause) {
			s.Errorf("%s: %v, want the context's cause", name, err)
		}
	}
	s.apply(order1, 1) // whatever the effect was: repeat
	s.healthy(order1, 1)
}

func atOnce(s *platformSuite) {
	errs := make(chan error)
	versions := []abt2.VersionID{order1, order1, order2, stock1}
	for _, v := range versions {
		w := s.f.Workload(s.T, v, 2)
		go func() { errs <- s.p.Apply(s.ctx, w) }()
	}
	for range versions {
		if err := <-errs; err != nil {
			s.Errorf("Apply: %v", err)
		}
	}
	s.healthy(order1, 2)
	s.healthy(order2, 2)
	s.healthy(stock1, 2)
}

func reopen(s *platformSuite) {
	s.apply(order1, 2)
	before := s.healthy(order1, 2)
	s.p = s.f.Reopen(s.T)
	s.same("after opening again", ids(s.instances()), ids(before))
	s.apply(order1, 2)
	after := s.healthy(order1, 2)
	for n := range after {
		if after[n].ID != before[n].ID || after[n].Address != before[n].Address || after[n].Restarts != before[n].Restarts || !s.f.Lives(s.T, after[n]) {
			s.Errorf("opening again changed %+v to %+v", before[n], after[n])
		}
	}
	s.remove(order1)
	for _, i := range before {
		if s.f.Lives(s.T, i) {
			s.Errorf("%s lives on after Remove", i.ID)
		}
	}
}

func logs(s *platformSuite) {
	r, ok := s.p.(abt2.LogReader)
	if !ok {
		s.Skip("the platform does not read logs")
	}
	read := func(v abt2.VersionID, tail int) []string {
		s.Helper()
		var b strings.Builder
		if err := r.Logs(s.ctx, v, tail, false, &b); err != nil {
			s.Fatalf("Logs: %v", err)
		}
		return slices.Collect(strings.Lines(b.String()))
	}
	s.apply(order1, 2)
	s.apply(stock1, 1)
	mine := s.healthy(order1, 2)
	for _, i := range append(s.healthy(stock1, 1), mine...) {
		has := func(l string) bool { return strings.HasPrefix(l, string(i.ID)+"\t") }
		if lines := read(i.Version, -1); !slices.ContainsFunc(lines, has) {
			s.Errorf("no line of %s in %q", i.ID, lines)
		}
	}
	if last := read(order1, 1); len(last) != 2 {
		s.Errorf("tail 1 of two instances: %q", last)
	}
	if none := read(order1, 0); len(none) != 0 {
		s.Errorf("tail 0: %q", none)
	}
	if none := read(order2, -1); len(none) != 0 {
		s.Errorf("a version that never ran printed %q", none)
	}
	s.remove(order1)
	var of []abt2.InstanceID
	for _, l := range read(order1, -1) {
		id, _, _ := strings.Cut(l, "\t")
		of = append(of, abt2.InstanceID(id))
	}
	slices.Sort(of)
	s.same("the lines of ended instances", slices.Compact(of), ids(mine))
}
