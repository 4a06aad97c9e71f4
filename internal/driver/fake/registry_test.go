package fake_test

import (
	"fmt"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/fake"
)

func TestRegistry(t *testing.T) {
	drivertest.Registry(t, func(*testing.T) drivertest.RegistryFixture {
		r := fake.NewRegistry()
		started := 0
		return drivertest.RegistryFixture{
			Registry: r,
			Start: func(*testing.T, abt2.InstanceID) string {
				started++
				return fmt.Sprintf("127.0.0.1:%d", 20000+started)
			},
			Kill: func(_ *testing.T, id abt2.InstanceID) { r.Kill(id) },
			Stranger: func(_ *testing.T, n abt2.ServiceName, address string) {
				r.Register(n, address, "stranger")
			},
			Watch: func(_ *testing.T, n abt2.ServiceName) func() [][]string { return r.Watch(n) },
		}
	})
}
