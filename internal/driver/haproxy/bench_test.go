package haproxy_test

import (
	"testing"

	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/haproxy"
)

func BenchmarkFlips(b *testing.B) {
	e := open(b, haproxy.Config{})
	address, err := e.Address(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	drivertest.EdgeFlips(b, drivertest.EdgeFixture{Edge: e, Address: address})
}
