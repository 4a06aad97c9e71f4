package builtin_test

import (
	"context"
	"testing"

	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/driver/drivertest"
)

func BenchmarkFlips(b *testing.B) {
	f := startFeed(b, "127.0.0.1:0")
	s := newSupervisor(b, edgeDir(b), f.address)
	leave := run(b, s)
	b.Cleanup(func() {
		leave()
		if err := s.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	d, err := s.Ready(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	drivertest.EdgeFlips(b, drivertest.EdgeFixture{Edge: builtin.NewEdge(f, edgeID), Address: d.Addresses[0]})
}
