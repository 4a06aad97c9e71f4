package storetest

import (
	"context"

	"abt2.dev"
)

// Guarded is a store each of whose calls goes through Call, which may let the
// effect happen or not, and may answer with an error of its own. Reads are
// always fresh, as the real store's are.
type Guarded struct {
	Store Store
	Call  func(ctx context.Context, name string, effect func() error) error
}

// State implements Store.
func (g Guarded) State(ctx context.Context) (*abt2.State, error) {
	return guard(ctx, g.Call, "Store.State", func() (*abt2.State, error) { return g.Store.State(ctx) })
}

// Update implements Store.
func (g Guarded) Update(ctx context.Context, fn func(*abt2.State) error) (*abt2.State, error) {
	return guard(ctx, g.Call, "Store.Update", func() (*abt2.State, error) { return g.Store.Update(ctx, fn) })
}

// Mark implements Store.
func (g Guarded) Mark(ctx context.Context, digest string) (abt2.Mark, error) {
	return guard(ctx, g.Call, "Store.Mark", func() (abt2.Mark, error) { return g.Store.Mark(ctx, digest) })
}

// Events implements Store.
func (g Guarded) Events(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	return guard(ctx, g.Call, "Store.Events", func() ([]abt2.Event, error) { return g.Store.Events(ctx, product, limit) })
}

// guard returns the effect's answer only where the call as a whole succeeds.
func guard[T any](ctx context.Context, call func(context.Context, string, func() error) error, name string, effect func() (T, error)) (T, error) {
	var out T
	err := call(ctx, name, func() (err error) { out, err = effect(); return err })
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}
