// Package fake holds drivers without an outside system: they keep in memory what
// they are told, answer as the contracts promise, and can be made to fail.
package fake

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"abt2.dev"
)

// Platform is a platform whose instances exist in memory only: they are healthy
// at once and have addresses at which nobody listens.
type Platform struct {
	mu        sync.Mutex
	last      int
	instances map[abt2.InstanceID]*instance
	logs      []line
	unhealthy map[abt2.VersionID]bool
	changed   chan struct{} // closed by the next change
}

type instance struct {
	abt2.Instance
	seq         int
	ever        bool // was healthy once
	unreachable bool
}

type line struct {
	id      abt2.InstanceID
	version abt2.VersionID
	text    string
}

var (
	_ abt2.Platform  = (*Platform)(nil)
	_ abt2.LogReader = (*Platform)(nil)
	_ abt2.Saboteur  = (*Platform)(nil)
)

// NewPlatform returns a platform that runs nothing yet.
func NewPlatform() *Platform {
	return &Platform{
		instances: map[abt2.InstanceID]*instance{},
		unhealthy: map[abt2.VersionID]bool{},
		changed:   make(chan struct{}),
	}
}

// SetUnhealthy makes the checks of a version's instances, present and future,
// fail or pass.
func (p *Platform) SetUnhealthy(v abt2.VersionID, unhealthy bool) {
	p.update(func() { p.unhealthy[v] = unhealthy })
}

// SetUnreachable makes it impossible, or possible, to ask an instance how it is.
func (p *Platform) SetUnreachable(id abt2.InstanceID, unreachable bool) {
	p.update(func() {
		if i := p.instances[id]; i != nil {
			i.unreachable = unreachable
		}
	})
}

// Apply implements abt2.Platform.
func (p *Platform) Apply(ctx context.Context, w abt2.Workload) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v := w.Version.ID
	external := w.Version.Config.External
	if len(external) > 0 {
		w.Scale = len(external)
	}
	if v.IsZero() || w.Scale <= 0 {
		return abt2.Errorf(abt2.CodeInvalid, "workload %q at scale %d: needs a version and a scale above zero; use Remove to end it", v, w.Scale)
	}
	p.update(func() {
		mine := slices.DeleteFunc(p.of(v), func(i *instance) bool {
			out := len(external) == 0 && slices.Contains(w.Without, i.ID)
			if out {
				delete(p.instances, i.ID)
			}
			return out
		})
		for len(mine) > w.Scale {
			delete(p.instances, mine[len(mine)-1].ID)
			mine = mine[:len(mine)-1]
		}
		for n := len(mine); n < w.Scale; n++ {
			p.last++
			i := &instance{seq: p.last}
			i.ID = abt2.InstanceID(fmt.Sprintf("%s-%d-%d", v.Module, v.Number, p.last))
			i.Version = v
			switch {
			case len(external) > 0:
				i.Address = external[n]
			case w.Version.Config.Kind != abt2.KindJob:
				i.Address = "127.0.0.1:" + strconv.Itoa(20000+p.last%10000)
			}
			p.instances[i.ID] = i
			p.print(i, "started")
		}
	})
	return nil
}

// Remove implements abt2.Platform.
func (p *Platform) Remove(ctx context.Context, v abt2.VersionID) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.update(func() {
		for _, i := range p.of(v) {
			delete(p.instances, i.ID)
		}
	})
	return nil
}

// Instances implements abt2.Platform.
func (p *Platform) Instances(ctx context.Context) ([]abt2.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []abt2.Instance
	for _, id := range slices.Sorted(maps.Keys(p.instances)) {
		i := p.instances[id].Instance
		if p.instances[id].unreachable {
			i.State, i.Detail, i.Restarts, i.Since = abt2.InstanceUnreachable, "made unreachable", 0, time.Time{}
		}
		out = append(out, i)
	}
	return out, nil
}

// Watch implements abt2.Platform.
func (p *Platform) Watch(ctx context.Context, changed chan<- struct{}) error {
	for {
		p.mu.Lock()
		next := p.changed
		p.mu.Unlock()
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Logs implements abt2.LogReader: an instance prints a line when it starts.
func (p *Platform) Logs(ctx context.Context, v abt2.VersionID, tail int, follow bool, w io.Writer) error {
	seen := map[abt2.InstanceID]int{}
	for first := true; ; first = false {
		p.mu.Lock()
		next := p.changed
		of := map[abt2.InstanceID][]string{}
		for _, l := range p.logs {
			if l.version == v {
				of[l.id] = append(of[l.id], l.text)
			}
		}
		p.mu.Unlock()
		for _, id := range slices.Sorted(maps.Keys(of)) {
			lines := of[id][seen[id]:]
			seen[id] = len(of[id])
			if first && tail >= 0 {
				lines = lines[max(len(lines)-tail, 0):]
			}
			for _, l := range lines {
				if _, err := fmt.Fprintf(w, "%s\t%s\n", id, l); err != nil {
					return err
				}
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// of returns a version's instances, the oldest first.
func (p *Platform) of(v abt2.VersionID) []*instance {
	var out []*instance
	for _, i := range p.instances {
		if i.Version == v {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *instance) int { return a.seq - b.seq })
	return out
}

func (p *Platform) print(i *instance, text string) {
	p.logs = append(p.logs, line{i.ID, i.Version, text})
}

// update makes a change, gives every instance its state, and tells watchers.
func (p *Platform) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	for _, i := range p.instances {
		state, detail := abt2.InstanceHealthy, ""
		switch {
		case p.unhealthy[i.Version] && i.ever:
			state, detail = abt2.InstanceUnhealthy, "made unhealthy"
		case p.unhealthy[i.Version]:
			state, detail = abt2.InstanceStarting, "made unhealthy"
		default:
			i.ever = true
		}
		if i.State != state {
			i.State, i.Since = state, time.Now()
		}
		i.Detail = detail
	}
	close(p.changed)
	p.changed = make(chan struct{})
}
