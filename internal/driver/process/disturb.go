package process

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

var _ abt2.Saboteur = (*Platform)(nil)

// Kill implements abt2.Saboteur.
func (p *Platform) Kill(ctx context.Context, id abt2.InstanceID) error {
	return p.disturb(ctx, id, &shimpb.DisturbRequest{Fault: shimpb.Fault_FAULT_KILL})
}

// Pause implements abt2.Saboteur: the instance's shim stops its process group,
// and lets it go on.
func (p *Platform) Pause(ctx context.Context, id abt2.InstanceID, d time.Duration) error {
	return p.disturb(ctx, id, &shimpb.DisturbRequest{Fault: shimpb.Fault_FAULT_PAUSE, For: durationpb.New(d)})
}

// Slow implements abt2.Saboteur in the way of Pause.
func (p *Platform) Slow(ctx context.Context, id abt2.InstanceID, d time.Duration) error {
	return p.disturb(ctx, id, &shimpb.DisturbRequest{Fault: shimpb.Fault_FAULT_SLOW, For: durationpb.New(d)})
}

func (p *Platform) disturb(ctx context.Context, id abt2.InstanceID, r *shimpb.DisturbRequest) error {
	p.mu.Lock()
	i := p.instances[id]
	p.mu.Unlock()
	if i == nil {
		return abt2.Errorf(abt2.CodeNotFound, "instance %q: does not exist", id)
	}
	_, err := i.shim.Disturb(ctx, connect.NewRequest(r))
	if err == nil || ctx.Err() != nil {
		return cause(ctx, err)
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnimplemented:
		return abt2.Wrap(abt2.CodeRefused, err, "%s: its shim is of an older abt2 and makes no such fault; it will once the instance has been started anew", id)
	case connect.CodeFailedPrecondition:
		return abt2.Wrap(abt2.CodeRefused, err, "%s: cannot be struck now", id)
	case connect.CodeInvalidArgument:
		return abt2.Wrap(abt2.CodeInvalid, err, "%s: cannot be struck so", id)
	}
	return abt2.Wrap(abt2.CodeFailed, err, "%s: its shim does not answer", id)
}

func fault(f shimpb.Fault) abt2.FaultKind {
	switch f {
	case shimpb.Fault_FAULT_PAUSE:
		return abt2.FaultRouterPause
	case shimpb.Fault_FAULT_SLOW:
		return abt2.FaultSlowRouter
	}
	return ""
}
