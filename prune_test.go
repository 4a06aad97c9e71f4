package abt2_test

import (
	"fmt"
	"slices"
	"testing"

	"abt2.dev"
)

func nothingRuns(abt2.VersionID) bool { return false }

// after is a state on which so many releases of web have been made, each by a
// session of its own.
func after(t *testing.T, releases int, prune bool) *abt2.State {
	t.Helper()
	s := grouped(t)
	for n := range releases {
		open(t, s)
		put(t, s, edge(t, "web", "/", fmt.Sprint("build ", n)))
		ship(t, s, nil)
		commit(t, s)
		clean(t, s)
		for _, id := range slices.Clone(s.Products[product].Retiring) {
			s.Drained(product, id)
		}
		if prune {
			s.Prune(nothingRuns)
		}
	}
	return s
}

// The state does not grow with the number of releases.
func TestStateIsBounded(t *testing.T) {
	s, longer := after(t, 150, true), after(t, 300, true)
	for name, n := range map[string][2]int{
		"environments": {len(s.Environments), len(longer.Environments)}, "versions": {len(s.Versions), len(longer.Versions)},
		"releases": {len(s.Releases), len(longer.Releases)}, "sessions": {len(s.Sessions), len(longer.Sessions)},
	} {
		if n[0] != n[1] || n[0] > abt2.KeptEnvironments+10 {
			t.Errorf("%s: %d after 150 releases, %d after 300", name, n[0], n[1])
		}
	}
	if m := longer.Modules["web"]; m.Versions != 301 || longer.LastEnvironment != 302 {
		t.Errorf("numbers went back: %+v, environment %d", m, longer.LastEnvironment)
	}
	// order, never released again since the first time, is online all the same.
	for v := range longer.InUse() {
		if longer.Versions[v] == nil {
			t.Errorf("%s is in use and unknown", v)
		}
	}
	if len(longer.KeptArtifacts(abt2.KeptReleases)) < abt2.KeptReleases {
		t.Errorf("kept builds: %v", longer.KeptArtifacts(abt2.KeptReleases))
	}
}

// What grew before there was a bound goes in steps, so that each fits into a
// transaction.
func TestPruneInSteps(t *testing.T) {
	s := after(t, 1200, false)
	steps := 0
	for {
		environments, versions := s.Prune(nothingRuns)
		if environments+versions == 0 {
			break
		}
		if steps++; environments+versions > 1000 {
			t.Fatalf("%d environments and %d versions at once", environments, versions)
		}
		for _, e := range s.Environments {
			for _, v := range e.Modules {
				if s.Versions[v] == nil {
					t.Fatalf("environment %s names %s, which is gone", e.ID, v)
				}
			}
		}
	}
	if want := after(t, 150, true); steps < 2 || len(s.Environments) != len(want.Environments) || len(s.Versions) != len(want.Versions) {
		t.Errorf("%d steps left %d environments, %d versions", steps, len(s.Environments), len(s.Versions))
	}
}

// What still runs stays known, or it would be taken for a stranger's.
func TestPruneKeepsWhatRuns(t *testing.T) {
	s := after(t, 150, false)
	web1, web2 := abt2.VersionID{Module: "web", Number: 1}, abt2.VersionID{Module: "web", Number: 2}
	s.Prune(func(v abt2.VersionID) bool { return v == web1 })
	if s.Versions[web1] == nil || s.Versions[web2] != nil {
		t.Errorf("web@1 runs: %v; web@2 does not: %v", s.Versions[web1], s.Versions[web2])
	}
}

// A session that is open for long keeps what it began with, and a build that was
// put, whatever happens beside it.
func TestPruneKeepsTheSession(t *testing.T) {
	s := after(t, 1, false)
	open(t, s)
	base := s.Products[product].Online
	for n := range 150 { // ship after ship
		put(t, s, edge(t, "web", "/", fmt.Sprint("try ", n)))
		ship(t, s, nil)
		for _, id := range slices.Clone(s.Products[product].Retiring) {
			s.Drained(product, id)
		}
	}
	put(t, s, service(t, "order", "new"))
	must(t, s.Drop(product, lihua, "order"))
	put(t, s, service(t, "order", "newer"))
	s.Prune(nothingRuns)
	if s.Environments[base] == nil || s.Preview(s.Products[product]) == nil {
		t.Error("the session's environments are gone")
	}
	ship(t, s, nil)
	commit(t, s)
	must(t, s.Begin(product, lihua, abt2.VerbRollback, nil))
	must(t, s.Rollback(product, lihua))
	if s.Products[product].Online != base {
		t.Errorf("rollback led to %d, not %d", s.Products[product].Online, base)
	}
}

// A module all of whose kept versions are external was run by abt2 once: its
// scale is not that of the next put.
func TestPruneKeepsWhatPutsDeriveFrom(t *testing.T) {
	s := grouped(t)
	must(t, s.SetScale(product, lihua, map[abt2.ModuleName]int{"order": 3}))
	open(t, s)
	outside := service(t, "order", "1")
	outside.Artifact, outside.Config.External = abt2.Artifact{}, abt2.External{"10.0.0.5:80"}
	put(t, s, outside)
	ship(t, s, nil)
	commit(t, s)
	clean(t, s)
	for n := range 150 {
		open(t, s)
		put(t, s, edge(t, "web", "/", fmt.Sprint("build ", n)))
		ship(t, s, nil)
		commit(t, s)
		clean(t, s)
		for _, id := range slices.Clone(s.Products[product].Retiring) {
			s.Drained(product, id)
		}
		s.Prune(nothingRuns)
	}
	open(t, s)
	back := service(t, "order", "2")
	back.Scale = 1
	put(t, s, back)
	if n := s.Modules["order"].Scale; n != 3 {
		t.Errorf("%d instances, want the 3 from before", n)
	}
}
