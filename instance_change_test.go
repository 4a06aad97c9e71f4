package abt2_test

import (
	"testing"
	"time"

	"abt2.dev"
)

func ofOrder(ids ...abt2.InstanceID) []abt2.Instance {
	var out []abt2.Instance
	for _, id := range ids {
		out = append(out, abt2.Instance{ID: id, Version: abt2.VersionID{Module: "order", Number: 1}})
	}
	return out
}

// What operators stopped is kept with who and when, once, until it is started.
func TestStoppedInstances(t *testing.T) {
	s := grouped(t)
	order1 := abt2.VersionID{Module: "order", Number: 1}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	by := lihua
	by.Now, by.Identity = now, "operator.token"
	s.Events = nil
	must(t, s.StopInstances(product, by, ofOrder("order-1-1", "order-1-2")))
	kept := s.Clone()
	must(t, s.StopInstances(product, by, ofOrder("order-1-2")))
	if len(s.Events) != 1 || s.Events[0].Verb != "instance stop" || s.Events[0].Text != "order-1-1, order-1-2" {
		t.Errorf("recorded %+v", s.Events)
	}
	want := abt2.StoppedInstance{ID: "order-1-2", Version: order1, Operator: by.Operator, Identity: "operator.token", Time: now}
	if got := s.Stopped(order1); len(got) != 2 || got[1] != want {
		t.Errorf("stopped %+v", got)
	}
	must(t, s.StartInstances(product, by, []abt2.InstanceID{"order-1-1", "order-1-9"}))
	if got := s.Stopped(order1); len(got) != 1 || got[0].ID != "order-1-2" {
		t.Errorf("after one was started: %+v", got)
	}
	if got := kept.Stopped(order1); len(got) != 2 {
		t.Errorf("a copy of the state changed with it: %+v", got)
	}
	if len(s.Events) != 2 || s.Events[1].Text != "order-1-1" {
		t.Errorf("recorded %+v", s.Events)
	}
	must(t, s.SetScale(product, by, map[abt2.ModuleName]int{"order": 2}))
	if got := s.Stopped(order1); len(got) != 0 {
		t.Errorf("after scale: %+v", got)
	}
}

// A version that nothing names any more has nothing to be started again.
func TestStoppedInstancesGoWithTheirVersion(t *testing.T) {
	s := grouped(t)
	must(t, s.StopInstances(product, lihua, ofOrder("order-1-1")))
	_, err := s.CreateSession(product, lihua, "", "token")
	must(t, err)
	put(t, s, service(t, "order", "2"))
	ship(t, s, nil)
	commit(t, s)
	if n := len(s.Modules["order"].Stopped); n != 1 {
		t.Errorf("%d are stopped of the backup, want 1", n)
	}
	clean(t, s)
	for _, id := range []abt2.EnvironmentID{1, 2} {
		s.Drained(product, id)
	}
	if n := len(s.Modules["order"].Stopped); n != 0 {
		t.Errorf("%d are stopped of what is gone", n)
	}
}

// Who may not change a product's release may not change what runs of it.
func TestInstancesOfAnothersSession(t *testing.T) {
	s := grouped(t)
	_, err := s.CreateSession(product, lihua, "", "token")
	must(t, err)
	other := abt2.Actor{Operator: "wang"}
	for name, change := range map[string]func(a abt2.Actor) error{
		"stop":    func(a abt2.Actor) error { return s.StopInstances(product, a, ofOrder("order-1-1")) },
		"start":   func(a abt2.Actor) error { return s.StartInstances(product, a, []abt2.InstanceID{"order-1-1"}) },
		"restart": func(a abt2.Actor) error { return s.RestartInstances(product, a, []abt2.InstanceID{"order-1-1"}) },
	} {
		if err := change(other); abt2.CodeOf(err) != abt2.CodeOwner {
			t.Errorf("%s by another: %v", name, err)
		}
		if err := change(abt2.Actor{}); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%s by nobody: %v", name, err)
		}
	}
	other.Takeover = true
	must(t, s.StopInstances(product, other, ofOrder("order-1-1")))
	if s.Session(product).Operator != "wang" {
		t.Error("the session was not taken over")
	}
}
