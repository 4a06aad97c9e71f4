package process

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// lookAgain is how often Watch signals without having been told anything: a
// shim that is stopped rather than ended breaks no connection.
const lookAgain = 5 * time.Second

// Instances implements abt2.Platform.
func (p *Platform) Instances(ctx context.Context) ([]abt2.Instance, error) {
	p.reap()
	all := p.all()
	out := make([]abt2.Instance, len(all))
	var wg sync.WaitGroup
	for n, i := range all {
		wg.Go(func() { out[n] = i.look(ctx) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, nil
}

// Watch implements abt2.Platform: it follows every shim's own stream.
func (p *Platform) Watch(ctx context.Context, changed chan<- struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	dirty := make(chan struct{}, 1)
	mark := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	wg.Go(func() { p.follow(ctx, mark) })
	mark()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-dirty:
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follow keeps a stream to every known instance's shim.
func (p *Platform) follow(ctx context.Context, mark func()) {
	var wg sync.WaitGroup
	defer wg.Wait()
	following := map[abt2.InstanceID]context.CancelFunc{}
	defer func() {
		for _, cancel := range following {
			cancel()
		}
	}()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		known := map[abt2.InstanceID]bool{}
		for _, i := range p.all() {
			known[i.id] = true
			if following[i.id] == nil {
				one, cancel := context.WithCancel(ctx)
				following[i.id] = cancel
				wg.Go(func() { p.followOne(one, i, mark) })
			}
		}
		for id, cancel := range following {
			if !known[id] {
				cancel()
				delete(following, id)
			}
		}
		mark()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// followOne marks whenever the instance's status is another, until ctx ends. A
// shim that has answered and is killed, by the system for its memory, say, is
// started again; one that was never there is Apply's to start.
func (p *Platform) followOne(ctx context.Context, i *instance, mark func()) {
	const most = time.Second
	wait := lockPoll
	for ctx.Err() == nil {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if stream, err := i.shim.Watch(ctx, connect.NewRequest(&shimpb.WatchRequest{})); err == nil {
			for stream.Receive() {
				wait = lockPoll
				mark()
			}
			_ = stream.Close()
			mark()
		}
		if i.answered.Load() && ctx.Err() == nil {
			if err := p.restart(ctx, i); err != nil && ctx.Err() == nil {
				p.log.Error("an instance whose shim has ended cannot be started again", "instance", i.id, "error", err)
			}
		}
		// There is no shim now, or it is only coming up.
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-changed:
		case <-ctx.Done():
		}
		t.Stop()
		wait = min(2*wait, most)
	}
}
