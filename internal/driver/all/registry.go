package all

import (
	"context"

	"abt2.dev"
)

// Registry makes one registry of two: addresses hold the names that have one,
// lists the instances.
func Registry(addresses abt2.Registry, lists abt2.Lister) abt2.Lister {
	return &registry{lists, addresses}
}

type registry struct {
	abt2.Lister
	addresses abt2.Registry
}

// Apply implements abt2.Registry. The two follow at the same time.
func (r *registry) Apply(ctx context.Context, n abt2.Names) error {
	r.Follow(n)
	plain := n
	plain.Listings = nil
	if err := r.addresses.Apply(ctx, plain); err != nil {
		return err
	}
	return r.Lister.Apply(ctx, n)
}

// Read implements abt2.Registry.
func (r *registry) Read(ctx context.Context) (abt2.Names, error) {
	out, err := r.addresses.Read(ctx)
	if err != nil {
		return abt2.Names{}, err
	}
	listed, err := r.Lister.Read(ctx)
	out.Listings = listed.Listings
	return out, err
}
