package abt2

import "time"

// Verb is one of the moves that take longer than a transaction.
type Verb string

// The verbs that run in the server, step by step.
const (
	VerbShip     Verb = "ship"
	VerbUnship   Verb = "unship"
	VerbCommit   Verb = "commit"
	VerbRollback Verb = "rollback"
	VerbClean    Verb = "clean"
	VerbRefresh  Verb = "refresh"
	VerbScale    Verb = "scale"
	VerbPark     Verb = "park"
	VerbUnpark   Verb = "unpark"

	VerbInstanceStart   Verb = "instance start"
	VerbInstanceStop    Verb = "instance stop"
	VerbInstanceRestart Verb = "instance restart"
)

// Intent records a verb before its first side effect, so that whoever comes
// after a crash knows what to finish or to drop.
type Intent struct {
	Verb     Verb         `json:"verb"`
	Operator string       `json:"operator"`
	Identity string       `json:"identity"`
	Modules  []ModuleName `json:"modules,omitempty"` // of ship and unship
	Share    Share        `json:"share,omitempty"`   // of commit: of this share of the visitors only
	Session  SessionID    `json:"session,omitempty"` // of unpark: which one
	Started  time.Time    `json:"started"`           // for display
	// Decided is set in the same transaction as the verb's change of state: the
	// point of no return. Before it, recovery drops the intent; after it,
	// recovery finishes the verb.
	Decided bool `json:"decided,omitempty"`
}

// Event is one line of history. History is only ever appended to.
type Event struct {
	Seq      uint64        `json:"seq"`
	Time     time.Time     `json:"time"` // for display
	Product  ProductName   `json:"product"`
	Session  SessionID     `json:"session,omitempty"`
	Operator string        `json:"operator"`
	Identity string        `json:"identity"`
	Verb     string        `json:"verb"`
	From     EnvironmentID `json:"from,omitempty"` // the environment the verb started from
	To       EnvironmentID `json:"to,omitempty"`   // the environment it led to
	Text     string        `json:"text,omitempty"` // details, for people
}
