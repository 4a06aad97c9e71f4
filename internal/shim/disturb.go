package shim

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// A slow child runs for a tenth of the time.
const (
	slowStands = 45 * time.Millisecond
	slowRuns   = 5 * time.Millisecond
)

// order asks whoever attends to the child for a fault.
type order struct {
	fault  shimpb.Fault
	length time.Duration
	answer chan<- verdict // has room
}

// verdict answers an order.
type verdict struct {
	restarts uint32 // of the child that was struck
	err      error
}

// disturbance is the fault that a child is under, if any. It belongs to who
// attends to the child: until that one has reaped it, the number of its process
// group is its own.
//
// A group that stands still does not outlast its shim: the shim lets it go on
// before it ends it or itself. Where the shim is killed the child dies with it,
// and what else is in the group is let go on by the system, as POSIX has it for
// a stopped group that is orphaned (exit, "Consequences of Process
// Termination"), and ended by the successor.
type disturbance struct {
	child  *child
	tell   func(shimpb.Fault)
	fault  shimpb.Fault
	until  time.Time
	stands bool
	next   *time.Timer // when the group is to stand still, or to go on; nil: no fault
}

// turn signals when next is to be called.
func (d *disturbance) turn() <-chan time.Time {
	if d.next == nil {
		return nil
	}
	return d.next.C
}

// begin begins a fault, unless there is one.
func (d *disturbance) begin(o order) error {
	if d.fault != shimpb.Fault_FAULT_UNSPECIFIED {
		return connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("it is under a fault for another %v", time.Until(d.until).Round(time.Millisecond)))
	}
	if o.fault == shimpb.Fault_FAULT_KILL {
		return d.signal(syscall.SIGKILL)
	}
	if err := d.stand(); err != nil {
		return err
	}
	d.fault, d.until = o.fault, time.Now().Add(o.length)
	first := o.length
	if o.fault == shimpb.Fault_FAULT_SLOW {
		first = min(first, slowStands)
	}
	d.next = time.NewTimer(first)
	d.tell(d.fault)
	return nil
}

// proceed does what is due when turn has signalled.
func (d *disturbance) proceed() {
	left := time.Until(d.until)
	switch {
	case left <= 0:
		d.end()
	case d.stands:
		d.goOn()
		d.next.Reset(min(left, slowRuns))
	default:
		_ = d.stand() // it has ended; its exit is about to be seen
		d.next.Reset(min(left, slowStands))
	}
}

// end lets the child go on. Ending without a fault does nothing.
func (d *disturbance) end() {
	if d.next == nil {
		return
	}
	d.next.Stop()
	d.goOn()
	d.fault, d.next = shimpb.Fault_FAULT_UNSPECIFIED, nil
	d.tell(d.fault)
}

func (d *disturbance) stand() error {
	err := d.signal(syscall.SIGSTOP)
	d.stands = err == nil
	return err
}

func (d *disturbance) goOn() {
	_ = d.signal(syscall.SIGCONT) // failing means that the group is gone
	d.stands = false
}

func (d *disturbance) signal(s syscall.Signal) error {
	if err := syscall.Kill(-d.child.pid, s); err != nil {
		return connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("its process group cannot be signalled: %w", err))
	}
	return nil
}

// errNoChild refuses a fault.
var errNoChild = connect.NewError(connect.CodeFailedPrecondition, errors.New("no process of it runs now"))

// disturb has the child struck and returns when that has been done; a killed
// child has ended then.
func (k *keeper) disturb(ctx context.Context, fault shimpb.Fault, length time.Duration) error {
	answer := make(chan verdict, 1)
	select {
	case k.orders <- order{fault, length, answer}:
	case <-k.stopping:
		return errNoChild
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	v := <-answer
	if v.err != nil || fault != shimpb.Fault_FAULT_KILL {
		return v.err
	}
	for {
		s, changed := k.snapshot()
		if s.GetState() == shimpb.State_STATE_BACKOFF || s.GetRestarts() != v.restarts {
			return nil
		}
		select {
		case <-changed:
		case <-k.ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Disturb implements the protocol.
func (s *server) Disturb(ctx context.Context, r *connect.Request[shimpb.DisturbRequest]) (*connect.Response[shimpb.DisturbResponse], error) {
	length := r.Msg.GetFor().AsDuration()
	switch fault := r.Msg.GetFault(); fault {
	case shimpb.Fault_FAULT_KILL:
	case shimpb.Fault_FAULT_PAUSE, shimpb.Fault_FAULT_SLOW:
		if length <= 0 || length > abt2.LongestFault {
			return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("for %v: must be above zero and at most %v", length, abt2.LongestFault))
		}
	default:
		return nil, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("fault %v: is not known to this shim", fault))
	}
	if err := s.keeper.disturb(ctx, r.Msg.GetFault(), length); err != nil {
		return nil, err
	}
	return connect.NewResponse(&shimpb.DisturbResponse{}), nil
}
