package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// Apply implements abt2.Platform. An instance whose shim has ended is started
// again under its id and port; one whose shim lives but does not answer is left
// alone and counts, because it may well be serving.
func (p *Platform) Apply(ctx context.Context, w abt2.Workload) error {
	if err := check(w); err != nil {
		return err
	}
	unlock, err := p.versions.lock(ctx, w.Version.ID)
	if err != nil {
		return err
	}
	defer unlock()
	var keep, end []*instance
	for _, i := range p.of(w.Version.ID) {
		if i.getSpec().GetEnded() || len(keep) == w.Scale || slices.Contains(w.Without, i.id) {
			end = append(end, i)
		} else {
			keep = append(keep, i)
		}
	}
	var work []func() error
	for _, i := range end {
		work = append(work, func() error { return p.end(ctx, i) })
	}
	for _, i := range keep {
		work = append(work, func() error { return p.revive(ctx, i, w) })
	}
	for range w.Scale - len(keep) {
		work = append(work, func() error { return p.create(ctx, w) })
	}
	return cause(ctx, each(work))
}

// Remove implements abt2.Platform.
func (p *Platform) Remove(ctx context.Context, v abt2.VersionID) error {
	unlock, err := p.versions.lock(ctx, v)
	if err != nil {
		return err
	}
	defer unlock()
	var work []func() error
	for _, i := range p.of(v) {
		work = append(work, func() error { return p.end(ctx, i) })
	}
	return cause(ctx, each(work))
}

// each does all of it, a few at a time, and joins what fails.
func each(work []func() error) error {
	const atOnce = 16
	errs := make([]error, len(work))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for n, f := range work {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[n] = f()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// create starts an instance that never was.
func (p *Platform) create(ctx context.Context, w abt2.Workload) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, err := plan(w, ""); err != nil { // before a number is spent on it
		return err
	}
	seq, port, err := p.reserve()
	if err != nil {
		return err
	}
	id := makeID(w.Version.ID, seq)
	dir := filepath.Join(p.cfg.Dir, instancesDir, string(id))
	l, err := plan(w, dir)
	if err != nil {
		return err
	}
	err = furnish(dir, l, w.Source)
	if err == nil {
		err = shimpb.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: its folder cannot be made", id)
	}
	spec := p.spec(w, l, id, seq, dir, uint32(port))
	i := newInstance(id, w.Version.ID, seq, dir, spec)
	if err := i.decide(spec); err != nil {
		return err
	}
	p.mu.Lock()
	p.instances[id] = i
	p.mu.Unlock()
	return p.launch(ctx, i)
}

// revive starts an instance's shim again where it has ended.
func (p *Platform) revive(ctx context.Context, i *instance, w abt2.Workload) error {
	for began := time.Now(); ; {
		pid, alive, err := shimpb.Keeper(i.dir)
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "%s: its lock cannot be read", i.id)
		}
		if !alive {
			break
		}
		if _, err = i.describe(ctx); err == nil {
			return nil
		}
		// It may be coming, or going: a killed process holds its lock a little longer.
		if time.Since(began) > patience {
			p.log.Warn("a shim does not answer; its instance is left alone", "instance", i.id, "pid", pid, "err", err)
			return nil
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
	l, err := plan(w, i.dir)
	if err != nil {
		return err
	}
	if err := furnish(i.dir, l, w.Source); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: its folder cannot be made whole", i.id)
	}
	if err := i.decide(p.spec(w, l, i.id, i.seq, i.dir, i.getSpec().GetPort())); err != nil {
		return err
	}
	p.log.Info("starting an instance again whose shim had ended", "instance", i.id)
	return p.launch(ctx, i)
}

// restart starts an instance's shim again, as it was, if it has ended and the
// instance is not to end.
func (p *Platform) restart(ctx context.Context, i *instance) error {
	unlock, err := p.versions.lock(ctx, i.version)
	if err != nil {
		return err
	}
	defer unlock()
	if i.getSpec().GetEnded() {
		return nil
	}
	if _, alive, err := shimpb.Keeper(i.dir); alive || err != nil {
		return err
	}
	p.log.Warn("an instance's shim has ended by itself; starting it again", "instance", i.id)
	return p.launch(ctx, i)
}

// end ends an instance and returns when that is proved. The decision is written
// first: whoever comes after a crash goes on ending it.
func (p *Platform) end(ctx context.Context, i *instance) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if spec := i.getSpec(); !spec.GetEnded() {
		spec = proto.CloneOf(spec)
		spec.Ended = true
		if err := i.decide(spec); err != nil {
			return err
		}
		p.notify()
	}
	if err := p.stop(ctx, i); err != nil {
		return err
	}
	if err := p.putAway(i); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: has ended, but its folder cannot be put away", i.id)
	}
	p.notify()
	return nil
}

// putAway keeps the logs of an ended instance and forgets the rest.
func (p *Platform) putAway(i *instance) error {
	to := filepath.Join(p.cfg.Dir, endedDir, string(i.id))
	// A killed shim leaves its socket.
	if err := os.Remove(i.getSpec().GetSocket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(i.dir, to); err != nil {
		return err
	}
	if err := errors.Join(shimpb.SyncDir(filepath.Dir(i.dir)), shimpb.SyncDir(filepath.Dir(to))); err != nil {
		return err
	}
	p.mu.Lock()
	delete(p.instances, i.id)
	p.mu.Unlock()
	return p.tidy()
}
