package all_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/driver/all"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/fake"
)

// TestMain lets the test binary be a gateway that a benchmark starts.
func TestMain(m *testing.M) {
	if be(os.Args) {
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// TestPlatform: two platforms together keep the promises of one.
func TestPlatform(t *testing.T) {
	drivertest.Platform(t, func(*testing.T) (abt2.Platform, drivertest.Fixture) {
		runs := fake.NewPlatform()
		p := all.Platform(runs, fake.NewPlatform())
		return p, drivertest.Fixture{
			Workload: func(_ *testing.T, v abt2.VersionID, scale int) abt2.Workload {
				return abt2.Workload{Version: abt2.Version{ID: v, Config: abt2.Config{Kind: abt2.KindService}}, Scale: scale}
			},
			Crash: func(t *testing.T, i abt2.Instance) {
				if err := runs.Kill(t.Context(), i.ID); err != nil {
					t.Fatal(err)
				}
			},
			Reopen: func(*testing.T) abt2.Platform { return p },
			Lives: func(t *testing.T, i abt2.Instance) bool {
				list, err := p.Instances(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, other := range list {
					if other.ID == i.ID {
						return true
					}
				}
				return false
			},
		}
	})
}

// TestPlatformPicks: an external version goes to the one platform, any other to
// the other, and changes of either are seen.
func TestPlatformPicks(t *testing.T) {
	runs, external := fake.NewPlatform(), fake.NewPlatform()
	p := all.Platform(runs, external)
	cause := errors.New("enough seen")
	ctx, cancel := context.WithCancelCause(t.Context())
	changed, ended := make(chan struct{}, 2), make(chan error, 1)
	go func() { ended <- p.Watch(ctx, changed) }()
	count := func(q abt2.Platform) int {
		list, err := q.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	await := func(want int) {
		t.Helper()
		for count(p) != want {
			select {
			case <-changed:
			case <-time.After(10 * time.Second):
				t.Fatalf("no signal; %d instances, want %d", count(p), want)
			}
		}
	}
	v1, v2 := abt2.VersionID{Module: "order", Number: 1}, abt2.VersionID{Module: "order", Number: 2}
	there := abt2.Version{ID: v1, Config: abt2.Config{External: abt2.External{"10.0.0.1:80"}}}
	for _, w := range []abt2.Workload{{Version: there, Scale: 1}, {Version: abt2.Version{ID: v2}, Scale: 2}} {
		if err := p.Apply(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	await(3)
	if count(external) != 1 || count(runs) != 2 {
		t.Errorf("%d external, %d run", count(external), count(runs))
	}
	for _, v := range []abt2.VersionID{v1, v2} {
		if err := p.Remove(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	await(0)
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("Watch returned %v", err)
	}
}
