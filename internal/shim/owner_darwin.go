package shim

import "abt2.dev/internal/shim/shimpb"

// owner would tell whose listener answers on the instance's port. Here the
// system offers no way without special rights: an answer counts, whoever gives
// it. The instance that could not get the port ends, and backoff shows that.
type owner struct{}

func newOwner(string, int, *shimpb.Process, int) *owner { return &owner{} }

func (*owner) check() error { return nil }
