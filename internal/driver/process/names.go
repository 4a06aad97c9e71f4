package process

import (
	"context"
	"sync"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// Hold has the instance's shim hold names. It answers when the shim has taken
// them, not when they stand.
func (p *Platform) Hold(ctx context.Context, id abt2.InstanceID, n *shimpb.Names) error {
	p.mu.Lock()
	i := p.instances[id]
	p.mu.Unlock()
	if i == nil {
		return abt2.Errorf(abt2.CodeNotFound, "instance %q: does not exist", id)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := i.shim.Hold(ctx, connect.NewRequest(&shimpb.HoldRequest{Names: n}))
	switch {
	case err == nil:
		return nil
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return abt2.Wrap(abt2.CodeRefused, err, "%s: its shim is of an older abt2 and holds no names; it will once the instance has been started anew", id)
	case connect.CodeOf(err) == connect.CodeFailedPrecondition:
		return abt2.Wrap(abt2.CodeRefused, err, "%s: does not take the names", id)
	}
	return abt2.Wrap(abt2.CodeFailed, err, "%s: its shim does not answer", id)
}

// Holdings returns what the shims say that they hold, by instance. Those that
// were never asked to hold anything, and those that cannot be asked, are left out.
func (p *Platform) Holdings(ctx context.Context) map[abt2.InstanceID]*shimpb.Held {
	var mu sync.Mutex
	var group sync.WaitGroup
	out := map[abt2.InstanceID]*shimpb.Held{}
	for _, i := range p.all() {
		group.Go(func() {
			d, err := i.describe(ctx)
			if held := d.GetStatus().GetHeld(); err == nil && held != nil {
				mu.Lock()
				defer mu.Unlock()
				out[i.id] = held
			}
		})
	}
	group.Wait()
	return out
}
