package drivertest

import (
	"context"
	"testing"
	"time"

	"abt2.dev"
)

func (s *platformSuite) saboteur() abt2.Saboteur {
	s.Helper()
	x, ok := s.p.(abt2.Saboteur)
	if !ok {
		s.Skip("the platform makes no faults")
	}
	return x
}

func killIsACrash(s *platformSuite) {
	x := s.saboteur()
	s.apply(order1, 2)
	all := s.healthy(order1, 2)
	before := all[0]
	if err := x.Kill(s.ctx, before.ID); err != nil {
		s.Fatalf("Kill: %v", err)
	}
	if now := s.of(order1)[0]; now.State == abt2.InstanceHealthy && now.Restarts == before.Restarts {
		s.Errorf("Kill has returned, but nothing has ended: %+v", now)
	}
	s.until("a restart", func(all []abt2.Instance) bool {
		return len(all) == 2 && all[0].Restarts == before.Restarts+1 && all[0].State == abt2.InstanceHealthy
	})
	after := s.of(order1)
	s.same("after Kill", ids(after), ids(all))
	if after[1].Restarts != all[1].Restarts {
		s.Errorf("Kill of %s struck %s: %+v", before.ID, after[1].ID, after[1])
	}
}

func faultsEndByThemselves(s *platformSuite) {
	s.saboteur()
	s.apply(order1, 2)
	all := s.healthy(order1, 2)
	for _, f := range []struct {
		kind  abt2.FaultKind
		begin func(abt2.Saboteur, context.Context, abt2.InstanceID, time.Duration) error
	}{{abt2.FaultRouterPause, abt2.Saboteur.Pause}, {abt2.FaultSlowRouter, abt2.Saboteur.Slow}} {
		s.Run(string(f.kind), func(t *testing.T) {
			s.p = s.f.Reopen(t)
			s := &platformSuite{T: t, ctx: s.ctx, p: s.p, f: s.f}
			x := s.saboteur()
			if err := f.begin(x, s.ctx, all[0].ID, time.Second); err != nil {
				s.Fatalf("%s: %v", f.kind, err)
			}
			now := s.of(order1)
			if now[0].Fault == "" {
				s.Skip("this machine is so slow that the fault has ended already")
			}
			if now[0].Fault != f.kind || now[1].Fault != "" {
				s.Errorf("faults are %q and %q, want %q on the first alone", now[0].Fault, now[1].Fault, f.kind)
			}
			if err := x.Pause(s.ctx, all[0].ID, time.Second); abt2.CodeOf(err) != abt2.CodeRefused && s.of(order1)[0].Fault == f.kind {
				s.Errorf("a second fault: %v, want refused", err)
			}
			s.p = s.f.Reopen(s.T) // whatever becomes of who asked for it
			s.until("the end of "+string(f.kind), func(now []abt2.Instance) bool {
				return now[0].Fault == "" && now[0].State == abt2.InstanceHealthy
			})
			after := s.of(order1)
			s.same("after "+string(f.kind), ids(after), ids(all))
			if after[0].Restarts != all[0].Restarts {
				s.Errorf("%s started %s again", f.kind, after[0].ID)
			}
		})
	}
}

func faultsAreBounded(s *platformSuite) {
	x := s.saboteur()
	s.apply(order1, 1)
	id := s.healthy(order1, 1)[0].ID
	for _, d := range []time.Duration{-time.Second, 0, abt2.LongestFault + 1} {
		for _, begin := range []func(context.Context, abt2.InstanceID, time.Duration) error{x.Pause, x.Slow} {
			if err := begin(s.ctx, id, d); abt2.CodeOf(err) != abt2.CodeInvalid {
				s.Errorf("for %v: %v, want CodeInvalid", d, err)
			}
		}
	}
	if err := x.Kill(s.ctx, "order-1-999"); abt2.CodeOf(err) != abt2.CodeNotFound {
		s.Errorf("Kill of nobody: %v, want CodeNotFound", err)
	}
	if i := s.healthy(order1, 1)[0]; i.Fault != "" || i.Restarts != 0 {
		s.Errorf("what was refused has struck: %+v", i)
	}
}
