package abt2

import (
	"strconv"
	"time"
)

// SessionID identifies a session; ids grow and are never used again. Zero is none.
type SessionID uint64

func (id SessionID) String() string { return strconv.FormatUint(uint64(id), 10) }

// SessionState is where a session stands.
//
//	none ── create ─▶ open ── commit ─▶ committed ── clean ─▶ none
//	                  open ◀─ rollback ─ committed
//	                  open ── clean ─▶ none
//	                  open ── park ─▶ parked ── unpark ─▶ open
type SessionState string

// The states of a session.
const (
	SessionOpen      SessionState = "open"
	SessionCommitted SessionState = "committed"
	SessionParked    SessionState = "parked" // set aside: its preview stays up, another session may be opened
)

// Session is one release of one product.
type Session struct {
	ID          SessionID              `json:"id"`
	Product     ProductName            `json:"product"`
	Operator    string                 `json:"operator"` // a name for people
	Identity    string                 `json:"identity"` // the credential that was shown
	Description string                 `json:"description,omitempty"`
	State       SessionState           `json:"state"`
	Base        EnvironmentID          `json:"base"` // online when it was opened, or last unparked
	Targets     map[ModuleName]*Target `json:"targets"`
	// Token selects the preview while open or parked and the backup while committed.
	Token Token `json:"token"`
	// Preview is what the session built; after commit it is online. Zero: nothing shipped.
	Preview EnvironmentID `json:"preview,omitempty"`
	// WasOnline is the environment of the session that users have been served
	// from. It differs from Preview once something was shipped after a rollback.
	WasOnline EnvironmentID `json:"was_online,omitempty"`
	// Share of the visitors are served from Preview. Zero: none, or all once committed.
	Share   Share     `json:"share,omitempty"`
	Created time.Time `json:"created"` // for display
	Changed time.Time `json:"changed"` // of State, for display
}

// Target is what a session wants of one module.
type Target struct {
	// Put is the version to release. Zero: the module is to be removed.
	Put VersionID `json:"put,omitzero"`
	// Shipped is the version that the preview names. Zero: not shipped.
	Shipped VersionID `json:"shipped,omitzero"`
	// Removed says that the preview lacks the module.
	Removed bool `json:"removed,omitempty"`
	// Moved says that users have got another version of the module while the
	// session was parked: the target must be shipped again, on top of that.
	Moved bool `json:"moved,omitempty"`
	// Prior is what Module.Released was before this session; rollback restores it.
	Prior VersionID `json:"prior,omitzero"`
	// Failure says why the last ship did not succeed. Empty: it did, or has not been tried.
	Failure string `json:"failure,omitempty"`
}

// TargetState is what stands between a target and commit.
type TargetState string

// The states of a target.
const (
	TargetPut     TargetState = "put"     // not shipped yet
	TargetShipped TargetState = "shipped" // ready
	TargetStale   TargetState = "stale"   // put again, or moved for users, since it was shipped
	TargetFailed  TargetState = "failed"  // the last ship failed
)

// State tells what stands between the target and commit.
func (t *Target) State() TargetState {
	switch {
	case t.Failure != "":
		return TargetFailed
	case t.Put.IsZero() && t.Removed, !t.Put.IsZero() && t.Shipped == t.Put:
		return TargetShipped
	case !t.Shipped.IsZero(), t.Removed, t.Moved:
		return TargetStale
	}
	return TargetPut
}
