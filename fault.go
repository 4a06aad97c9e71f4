package abt2

import (
	"context"
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
