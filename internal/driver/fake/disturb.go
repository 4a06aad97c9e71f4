package fake

import (
	"context"
	"time"

	"abt2.dev"
)

// Kill implements abt2.Saboteur. The instance is started again at once.
func (p *Platform) Kill(ctx context.Context, id abt2.InstanceID) error {
	return p.strike(ctx, id, func(i *instance) {
		i.Restarts++
		p.print(i, "killed; starting again")
	})
}

// Pause implements abt2.Saboteur. The instance stays healthy, as one does whose
// check is that somebody listens.
func (p *Platform) Pause(ctx context.Context, id abt2.InstanceID, d time.Duration) error {
	return p.disturb(ctx, id, abt2.FaultRouterPause, d)
}

// Slow implements abt2.Saboteur.
func (p *Platform) Slow(ctx context.Context, id abt2.InstanceID, d time.Duration) error {
	return p.disturb(ctx, id, abt2.FaultSlowRouter, d)
}

func (p *Platform) disturb(ctx context.Context, id abt2.InstanceID, k abt2.FaultKind, d time.Duration) error {
	if d <= 0 || d > abt2.LongestFault {
		return abt2.Errorf(abt2.CodeInvalid, "%s for %v: must be above zero and at most %v", k, d, abt2.LongestFault)
	}
	return p.strike(ctx, id, func(i *instance) {
		i.Fault = k
		time.AfterFunc(d, func() { p.update(func() { i.Fault = "" }) })
	})
}

func (p *Platform) strike(ctx context.Context, id abt2.InstanceID, how func(*instance)) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.update(func() {
		switch i := p.instances[id]; {
		case i == nil:
			err = abt2.Errorf(abt2.CodeNotFound, "instance %q: does not exist", id)
		case i.Fault != "":
			err = abt2.Errorf(abt2.CodeRefused, "%s: is under a fault already: %s", id, i.Fault)
		default:
			how(i)
		}
	})
	return err
}
