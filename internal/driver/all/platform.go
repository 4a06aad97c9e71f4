// Package all puts drivers together into what the engine works with.
package all

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"abt2.dev"
)

// Runner is a platform that starts processes, with all that such a one can do.
type Runner interface {
	abt2.Platform
	abt2.LogReader
	abt2.Saboteur
}

// Platform makes one platform of two: one runs the versions that abt2 starts,
// the other looks after external ones. A version is for one of them for ever,
// since its configuration never changes. The abilities are those of the first:
// what others run has no logs here, and no fault strikes it.
func Platform(runs Runner, external abt2.Platform) Runner {
	return struct {
		*platform
		abt2.LogReader
		abt2.Saboteur
	}{&platform{runs, external}, runs, runs}
}

type platform struct{ runs, external abt2.Platform }

// Apply implements abt2.Platform.
func (p *platform) Apply(ctx context.Context, w abt2.Workload) error {
	if w.Version.External() {
		return p.external.Apply(ctx, w)
	}
	return p.runs.Apply(ctx, w)
}

// Remove implements abt2.Platform. Only one of the two knows the version, and
// removing what is absent succeeds.
func (p *platform) Remove(ctx context.Context, v abt2.VersionID) error {
	return errors.Join(p.external.Remove(ctx, v), p.runs.Remove(ctx, v))
}

// Instances implements abt2.Platform.
func (p *platform) Instances(ctx context.Context) ([]abt2.Instance, error) {
	a, err := p.runs.Instances(ctx)
	if err != nil {
		return nil, err
	}
	b, err := p.external.Instances(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Concat(a, b)
	slices.SortFunc(out, func(a, b abt2.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, nil
}

// Watch implements abt2.Platform. When one of the two can no longer be watched,
// neither is.
func (p *platform) Watch(ctx context.Context, changed chan<- struct{}) error {
	one, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for _, each := range []abt2.Platform{p.runs, p.external} {
		group.Go(func() { cancel(each.Watch(one, changed)) })
	}
	group.Wait()
	return context.Cause(one)
}
