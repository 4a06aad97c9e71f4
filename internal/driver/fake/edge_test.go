package fake_test

import (
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/fake"
)

func TestEdge(t *testing.T) {
	drivertest.Edge(t, func(t *testing.T) drivertest.EdgeFixture {
		e, err := fake.NewEdge()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return drivertest.EdgeFixture{
			Edge: e, Address: e.Address(),
			Disconnect: func(*testing.T) { e.SetLost(true) },
			Crash: func(t *testing.T) {
				if err := e.Crash(); err != nil {
					t.Fatal(err)
				}
			},
			Drift: func(t *testing.T) {
				if err := e.Drift(abt2.DefaultProduct, 2); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
