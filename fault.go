package abt2

import (
	"context"
	"fmt"
	"time"
)

// FaultKind is a kind of trouble that a server makes on purpose, for a drill.
type FaultKind string

// The faults. Each ends by itself: nobody has to mend what a fault has done.
const (
	FaultServerKill   FaultKind = "server-kill"   // the server dies at once; another process of it follows
	FaultEdgeUpgrade  FaultKind = "edge-upgrade"  // an edge hands its sockets over to a new process
	FaultRouterPause  FaultKind = "router-pause"  // an instance stands still, and then goes on
	FaultSlowRouter   FaultKind = "slow-router"   // an instance runs at a fraction of its speed
	FaultInstanceKill FaultKind = "instance-kill" // an instance dies at once; the platform starts it again
)

// LongestFault bounds how long an instance stands still or is slow.
const LongestFault = 30 * time.Second

// FaultRequest asks for one fault.
type FaultRequest struct {
	By
	Product ProductName
	Kind    FaultKind
	// Pick chooses among what the fault may strike, modulo their number, so that
	// a drill with a known seed can be repeated.
	Pick uint64
	// For is how long an instance stands still or is slow, or the server stays
	// away; at most LongestFault. The other kinds ignore it.
	For time.Duration
}

// Fault is a fault that has begun.
type Fault struct {
	Kind   FaultKind     `json:"kind"`
	Target string        `json:"target"` // the instance, the edge, or "server"
	For    time.Duration `json:"for_ns,omitempty"`
}

// Disturber makes faults. A server that was not started with --allow-faults
// refuses each with CodeRefused. So does one that allows them, when there is
// nothing the fault may strike: a version's last healthy instance is never
// killed, paused or slowed.
type Disturber interface {
	// Disturb begins a fault and returns when it has begun; a killed server
	// answers before it dies.
	Disturb(ctx context.Context, r FaultRequest) (Fault, error)
}

// Validate checks the kind and the time.
func (r FaultRequest) Validate() error {
	lowest := time.Duration(0)
	switch r.Kind {
	case FaultInstanceKill, FaultEdgeUpgrade:
		return nil
	case FaultServerKill:
	case FaultRouterPause, FaultSlowRouter:
		lowest = time.Millisecond
	default:
		return Errorf(CodeInvalid, "fault %q: is unknown; there are %s, %s, %s, %s, %s", r.Kind,
			FaultServerKill, FaultEdgeUpgrade, FaultRouterPause, FaultSlowRouter, FaultInstanceKill)
	}
	if r.For < lowest || r.For > LongestFault {
		return Errorf(CodeInvalid, "%s for %v: must be %v to %v", r.Kind, r.For, lowest, LongestFault)
	}
	return nil
}

// String tells the fault as history does.
func (f Fault) String() string {
	if f.For == 0 {
		return fmt.Sprintf("%s of %s", f.Kind, f.Target)
	}
	return fmt.Sprintf("%s of %s for %v", f.Kind, f.Target, f.For)
}

// Disturb records a fault that is about to begin or, with a failure, one that
// has not begun after all. It needs no session: a fault changes nothing that
// should be.
func (s *State) Disturb(name ProductName, a Actor, f Fault, failure error) error {
	p, err := s.Product(name)
	if err != nil {
		return err
	}
	if a.Operator == "" {
		return Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	text := f.String()
	if failure != nil {
		text += ", failed: " + failure.Error()
	}
	s.record(a, p, "fault", p.Online, p.Online, text)
	return nil
}
