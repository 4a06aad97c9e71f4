// Package abt2 holds the nouns of abt2, the rules of a release, and the contracts
// with the systems that abt2 drives. It does no I/O and depends on the standard
// library only; everything else depends on it.
package abt2

// ProductName names a product: an app or domain that users know.
type ProductName string

// DefaultProduct exists in every installation. It takes every host that no
// other product names.
const DefaultProduct ProductName = "default"

// Product is a branch in the fleet: it names one environment as online.
type Product struct {
	Name ProductName `json:"name"`
	// Hosts are the host names, without port, whose requests belong to the product.
	Hosts []string `json:"hosts,omitempty"`
	// Online is the environment that users are served from. It is never zero: a
	// product begins with the empty environment.
	Online EnvironmentID `json:"online"`
	// Backup was online before the last commit, and stays warm until clean. Zero: none.
	Backup EnvironmentID `json:"backup,omitempty"`
	// Skew is the product's skew protection. Nil: off.
	Skew *Skew `json:"skew,omitempty"`
	// Session is the product's open or committed session. Zero: none.
	Session SessionID `json:"session,omitempty"`
	// Parked are the sessions that are set aside, the oldest first.
	Parked []SessionID `json:"parked,omitempty"`
	// Unsettled is set by a switch and cleared when unversioned names and jobs
	// have followed it. Until then the session cannot be cleaned.
	Unsettled bool `json:"unsettled,omitempty"`
	// Retiring are environments that no token and no online pointer names, but
	// that requests on their way may still carry. They stay in the table and
	// their instances keep running until they have been drained.
	Retiring []EnvironmentID `json:"retiring,omitempty"`
	// Groups are names for several modules at once; each list is sorted.
	Groups map[GroupName][]ModuleName `json:"groups,omitempty"`
	// Intent is the verb at work on the product. Nil: none.
	Intent *Intent `json:"intent,omitempty"`
}

// Role says what an environment is to its product at this moment.
type Role string

// The roles of an environment.
const (
	RoleOnline  Role = "online"
	RolePreview Role = "preview"
	RoleBackup  Role = "backup"
	// RoleRetired is the role of an environment that nothing names any more.
	RoleRetired Role = "retired"
)
