package abt2

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Mark identifies a table. Within an epoch the higher revision is the newer
// table; tables of different epochs cannot be compared: discard and rejoin.
type Mark struct {
	Epoch    string `json:"epoch"`
	Revision uint64 `json:"revision"`
}

// Covers reports whether a router that applied m has applied everything that want asks for.
func (m Mark) Covers(want Mark) bool { return m.Epoch == want.Epoch && m.Revision >= want.Revision }

// Table is what routers know, whole: every list is sorted by its identity.
// A Table is immutable once published.
type Table struct {
	Mark Mark `json:"mark"`
	// HighestEnvironment is the highest id ever given out: an id at or below it
	// that the table lacks has been retired.
	HighestEnvironment EnvironmentID      `json:"highest_environment"`
	Products           []TableProduct     `json:"products,omitempty"`
	Environments       []TableEnvironment `json:"environments,omitempty"`
	Versions           []TableVersion     `json:"versions,omitempty"`
	Names              []Name             `json:"names,omitempty"`
}

// TableProduct is a product as routers know it. Zero ids: none.
type TableProduct struct {
	Name    ProductName   `json:"name"`
	Hosts   []string      `json:"hosts,omitempty"`
	Online  EnvironmentID `json:"online"`
	Backup  EnvironmentID `json:"backup"`
	Preview EnvironmentID `json:"preview"`
	// Parked are the previews of sessions that are set aside.
	Parked []EnvironmentID `json:"parked,omitempty"`
}

// Role says what the environment, one of the product's, is to it.
func (p *TableProduct) Role(id EnvironmentID) Role {
	switch {
	case id == p.Online:
		return RoleOnline
	case id == p.Backup:
		return RoleBackup
	case id == p.Preview, slices.Contains(p.Parked, id):
		return RolePreview
	}
	return RoleRetired
}

// TableEnvironment is an environment as routers know it.
type TableEnvironment struct {
	ID      EnvironmentID `json:"id"`
	Product ProductName   `json:"product"`
	Modules []VersionID   `json:"modules,omitempty"` // by module name
	// WasOnline forbids fallback: users may have been served from it.
	WasOnline bool `json:"was_online"`
}

// TableVersion is a version as routers know it, with the instances that may be called.
type TableVersion struct {
	ID        VersionID       `json:"id"`
	Kind      Kind            `json:"kind"`
	Prefix    string          `json:"prefix"`
	Fallback  Fallback        `json:"fallback"`
	Instances []TableInstance `json:"instances,omitempty"` // healthy ones only
	// External instances do not know who they are to abt2: nothing is addressed
	// to them by name (header Abt2-To), so they refuse nothing.
	External bool `json:"external,omitempty"`
}

// TableInstance is an instance as routers know it.
type TableInstance struct {
	ID      InstanceID `json:"id"`
	Address string     `json:"address"`
}

// Name is a module's unversioned name: callers that know nothing of abt2 reach
// the owner's online version there.
type Name struct {
	Module  ModuleName  `json:"module"`
	Product ProductName `json:"product"` // the owner
	Address string      `json:"address"` // host:port, stable for the life of the module
}

// Router is a process that resolves (environment, module) to instances, as it
// is remembered: a durable record until it says goodbye, its instance is known
// to have ended, or an operator forgets it.
type Router struct {
	ID      string    `json:"id"`
	Role    string    `json:"role"`
	Version VersionID `json:"version,omitzero"`
	Stamper bool      `json:"stamper,omitempty"` // has given environments to requests that had none
}

// Token selects an environment other than online: 128 random bits, base64url
// without padding. It is a secret; only operators and verifiers see it whole.
type Token string

// TokenDigest is what edges know of a token: the first 16 bytes of its sha256 in hexadecimal.
type TokenDigest string

// Digest returns what edges know of the token.
func (t Token) Digest() TokenDigest {
	sum := sha256.Sum256([]byte(t))
	return TokenDigest(hex.EncodeToString(sum[:16]))
}

// EdgeRoutes is all that a gateway needs: host → product → environment → that
// environment's prefixes, and the tokens. Immutable once applied.
type EdgeRoutes struct {
	Table  Table                         `json:"table"`
	Tokens map[TokenDigest]EnvironmentID `json:"tokens,omitempty"`
	// Whole has the same tokens whole, for a TokenReader; nil for every other
	// edge. They are secrets: they are in no encoding and in no log.
	Whole map[TokenDigest]Token `json:"-"`
	// Shares are of the products that send a share of their visitors to another
	// environment than online. An edge without AbilityShare ignores them.
	Shares map[ProductName]VisitorShare `json:"shares,omitempty"`
	// Skew is of the products with skew protection. An edge without AbilitySkew
	// ignores it.
	Skew map[ProductName]Skew `json:"skew,omitempty"`
}
