package fake_test

import (
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/fake"
)

func TestPlatform(t *testing.T) {
	drivertest.Platform(t, func(t *testing.T) (abt2.Platform, drivertest.Fixture) {
		p := fake.NewPlatform()
		return p, drivertest.Fixture{
			Workload: func(_ *testing.T, v abt2.VersionID, scale int) abt2.Workload {
				return abt2.Workload{Version: abt2.Version{ID: v, Config: abt2.Config{Kind: abt2.KindService}}, Scale: scale}
			},
			Crash: func(t *testing.T, i abt2.Instance) {
				if err := p.Kill(t.Context(), i.ID); err != nil {
					t.Fatal(err)
				}
			},
			Reopen: func(*testing.T) abt2.Platform { return p }, // its state is nowhere else
			Lives: func(t *testing.T, i abt2.Instance) bool {
				all, err := p.Instances(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, other := range all {
					if other.ID == i.ID {
						return true
					}
				}
				return false
			},
		}
	})
}

func TestFaults(t *testing.T) {
	v := abt2.VersionID{Module: "order", Number: 1}
	p := fake.NewPlatform()
	see := func(want abt2.InstanceState) abt2.Instance {
		t.Helper()
		all, err := p.Instances(t.Context())
		if err != nil || len(all) != 1 || all[0].State != want {
			t.Fatalf("instances %+v, %v; want one that is %s", all, err, want)
		}
		return all[0]
	}
	p.SetUnhealthy(v, true)
	if err := p.Apply(t.Context(), abt2.Workload{Version: abt2.Version{ID: v}, Scale: 1}); err != nil {
		t.Fatal(err)
	}
	i := see(abt2.InstanceStarting)
	p.SetUnhealthy(v, false)
	see(abt2.InstanceHealthy)
	p.SetUnhealthy(v, true)
	see(abt2.InstanceUnhealthy)
	p.SetUnhealthy(v, false)
	p.SetUnreachable(i.ID, true)
	see(abt2.InstanceUnreachable)
	p.SetUnreachable(i.ID, false)
	if err := p.Kill(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	if got := see(abt2.InstanceHealthy); got.Restarts != 1 || got.ID != i.ID {
		t.Errorf("after Kill: %+v", got)
	}
}
