package bfe_test

import (
	"testing"

	"abt2.dev/internal/driver/bfe"
	"abt2.dev/internal/driver/drivertest"
)

// BenchmarkFlips measures the stand-in, unless ABT2_BFE names a real one.
func BenchmarkFlips(b *testing.B) {
	e, p, _ := open(b, bfe.Config{})
	drivertest.EdgeFlips(b, drivertest.EdgeFixture{Edge: e, Address: p.HTTP, AnswersAny500: true})
}
