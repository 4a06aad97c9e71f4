package storetest_test

import (
	"testing"

	"abt2.dev/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return storetest.NewMemory("epoch") })
}
