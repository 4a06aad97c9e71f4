package fault_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/fake"
	"abt2.dev/internal/driver/fault"
)

// TestUnarmed: a plan that is not armed leaves a driver as it is.
func TestUnarmed(t *testing.T) {
	drivertest.Platform(t, func(t *testing.T) (abt2.Platform, drivertest.Fixture) {
		inner := fake.NewPlatform()
		p := (&fault.Plan{}).Platform(inner)
		return p, drivertest.Fixture{
			Workload: func(_ *testing.T, v abt2.VersionID, scale int) abt2.Workload { return workload(v, scale) },
			Crash: func(t *testing.T, i abt2.Instance) {
				if err := inner.Kill(t.Context(), i.ID); err != nil {
					t.Fatal(err)
				}
			},
			Reopen: func(*testing.T) abt2.Platform { return p },
			Lives:  func(t *testing.T, i abt2.Instance) bool { return lives(t, inner, i.ID) },
		}
	})
}

func lives(t *testing.T, p abt2.Platform, id abt2.InstanceID) bool {
	t.Helper()
	all, err := p.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.ID == id {
			return true
		}
	}
	return false
}

func workload(v abt2.VersionID, scale int) abt2.Workload {
	return abt2.Workload{Version: abt2.Version{ID: v, Config: abt2.Config{Kind: abt2.KindService}}, Scale: scale}
}

var order = abt2.VersionID{Module: "order", Number: 1}

func count(t *testing.T, p abt2.Platform) int {
	t.Helper()
	all, err := p.Instances(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestPlatform: from one instance to three and back to none, the change going
// wrong in every way.
func TestPlatform(t *testing.T) {
	for _, c := range []struct {
		kind           fault.Kind
		apply, remove  int // instances after it
		stopped, fails bool
	}{
		{fault.StopBefore, 1, 3, true, true},
		{fault.StopAfter, 3, 0, true, true},
		{fault.ErrorBefore, 1, 3, false, true},
		{fault.ErrorAfter, 3, 0, false, true},
		{fault.TimeOut, 1, 3, false, true},
		{fault.Partial, 2, 1, false, true},
		{fault.Stale, 3, 0, false, false}, // nothing is read
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.Background()
				for name, step := range map[string]struct {
					from int
					call func(abt2.Platform) error
					want int
				}{
					"Platform.Apply":  {1, func(p abt2.Platform) error { return p.Apply(ctx, workload(order, 3)) }, c.apply},
					"Platform.Remove": {3, func(p abt2.Platform) error { return p.Remove(ctx, order) }, c.remove},
				} {
					plan, inner, stopped := &fault.Plan{}, fake.NewPlatform(), false
					p := plan.Platform(inner)
					if err := p.Apply(ctx, workload(order, step.from)); err != nil {
						t.Fatal(err)
					}
					plan.Arm(c.kind, 1, func() { stopped = true })
					if err := step.call(p); (err != nil) != c.fails {
						t.Errorf("%s: %v", name, err)
					}
					if n := count(t, inner); n != step.want {
						t.Errorf("%s: %d instances, want %d", name, n, step.want)
					}
					if stopped != c.stopped || plan.Ended() != c.stopped || (plan.Hit() == name) != c.fails {
						t.Errorf("%s: stopped %t, ended %t, hit %q", name, stopped, plan.Ended(), plan.Hit())
					}
					if err := p.Remove(ctx, order); (err != nil) != c.stopped {
						t.Errorf("%s: the call after it: %v; only an ended process has no effects", name, err)
					}
				}
			})
		})
	}
}

// TestStale: a reading call answers what it answered before, once.
func TestStale(t *testing.T) {
	ctx := context.Background()
	plan := &fault.Plan{}
	p := plan.Platform(fake.NewPlatform())
	count(t, p)
	if err := p.Apply(ctx, workload(order, 2)); err != nil {
		t.Fatal(err)
	}
	plan.Arm(fault.Stale, 1, nil)
	if stale, fresh := count(t, p), count(t, p); stale != 0 || fresh != 2 {
		t.Errorf("read %d and then %d instances, want 0 and then 2", stale, fresh)
	}
}

// TestTimeOut: a call ends with its context, and else with the driver's patience.
func TestTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, gone)
		defer cancel()
		plan := &fault.Plan{}
		plan.Arm(fault.TimeOut, 1, nil)
		if err := plan.Call(ctx, "x", func() error { return nil }); !errors.Is(err, gone) {
			t.Errorf("with a limit: %v", err)
		}
		plan.Arm(fault.TimeOut, 1, nil)
		if err := plan.Call(context.Background(), "x", func() error { return nil }); abt2.CodeOf(err) != abt2.CodeUnavailable {
			t.Errorf("without a limit: %v", err)
		}
	})
}
