package route

import (
	"errors"
	"fmt"
)

// ErrOlder is returned by Router.Apply for a table older than the one in use.
var ErrOlder = errors.New("older than what is applied")

// Reason says why nothing was picked.
type Reason int

// The reasons of an Error.
const (
	Unknown    Reason = iota + 1 // above the table's highest environment: the caller may fetch a newer table
	Retired                      // the environment existed and is gone
	NoModule                     // the environment lacks the module
	NoInstance                   // the version has no instance left to try
	NoVersion                    // no environment of the home product names the router's own version
	NoProduct                    // no product serves the host
	NoAddress                    // outside abt2: the module has no static address
)

// Error says why a request cannot be routed. Every reason means 503 or
// UNAVAILABLE to the caller, and never another environment.
type Error struct {
	Reason      Reason
	Environment uint64 // zero: none
	Module      string // or the version of NoVersion, or the host of NoProduct
}

func (e *Error) Error() string {
	switch e.Reason {
	case Unknown:
		return fmt.Sprintf("environment %d is not known here yet", e.Environment)
	case Retired:
		return fmt.Sprintf("environment %d has been retired", e.Environment)
	case NoModule:
		return fmt.Sprintf("environment %d has no module %q", e.Environment, e.Module)
	case NoInstance:
		return fmt.Sprintf("module %s has no healthy instance in environment %d", e.Module, e.Environment)
	case NoVersion:
		return fmt.Sprintf("no environment in use names %s, and the request has no stamp", e.Module)
	case NoProduct:
		return fmt.Sprintf("no product serves host %q", e.Module)
	case NoAddress:
		return fmt.Sprintf("module %q has no static address; set one with ABT2_STATIC=%s=HOST:PORT", e.Module, e.Module)
	default:
		return "request cannot be routed"
	}
}

// ReasonOf returns the reason of the first Error in err's chain, zero if there is none.
func ReasonOf(err error) Reason {
	if err == nil {
		return 0 // without the allocation that errors.As costs
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return 0
}
