package release

import (
	"context"
	"time"

	"abt2.dev"
)

// A platform tells when to look at it again; beside that it is looked at after
// lookAgain, should that word or its answer have been lost, and soon after a failure.
const (
	lookAgain = time.Minute
	lookSoon  = time.Second
)

// watch keeps the table at what the platform runs until ctx ends, and returns
// the context's cause.
func (e *Engine) watch(ctx context.Context, moved <-chan struct{}) error {
	next := time.NewTimer(lookAgain)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-moved:
		case <-next.C:
		}
		pause := lookAgain
		err := e.observe(ctx)
		if err == nil {
			_, err = e.publish(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("what runs could not be found and told; looking again soon", "error", err)
			pause = lookSoon
		}
		next.Reset(pause)
	}
}

// observe asks the platform what runs. A router whose instance is known to have
// ended is forgotten.
func (e *Engine) observe(ctx context.Context) error {
	if err := e.observing.take(ctx); err != nil { // else an older answer could replace a newer one
		return err
	}
	defer e.observing.Unlock()
	list, err := e.Platform.Instances(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.instances = list
	present := map[abt2.InstanceID]bool{}
	for _, i := range list {
		present[i.ID] = true
	}
	for id := range e.cordoned {
		if !present[id] {
			delete(e.cordoned, id)
		}
	}
	e.mu.Unlock()
	for _, r := range e.Routers.Statuses() {
		if r.Role == roleProcess && !r.Connected && !present[abt2.InstanceID(r.ID)] {
			e.Routers.Forget(r.ID) // its instance has ended
		}
	}
	e.changed.fire()
	e.moved.fire()
	return nil
}

// running returns the instances as last observed, the cordoned ones left out on request.
func (e *Engine) running(cordoned bool) []abt2.Instance {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]abt2.Instance, 0, len(e.instances))
	for _, i := range e.instances {
		if cordoned || !e.cordoned[i.ID] {
			out = append(out, i)
		}
	}
	return out
}

// await returns nil once cond holds, or the context's cause. cond is asked
// again whenever something changed.
func (e *Engine) await(ctx context.Context, cond func() bool) error {
	for {
		changed := e.changed.wait()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
