package abt2

import "context"

type identityKey struct{}

// WithIdentity returns a context that says whose credential was shown. Whoever
// has checked a credential calls it; the engine records the identity beside the
// operator's name.
func WithIdentity(ctx context.Context, identity string) context.Context {
	return context.WithValue(ctx, identityKey{}, identity)
}

// IdentityOf returns what WithIdentity has stored, or "".
func IdentityOf(ctx context.Context) string {
	s, _ := ctx.Value(identityKey{}).(string)
	return s
}
