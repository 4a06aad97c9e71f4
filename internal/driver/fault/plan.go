// Package fault wraps drivers so that any one call goes wrong in any way that
// the contracts allow. Nothing of it runs in the product.
package fault

import (
	"context"
	"sync"
	"time"

	"abt2.dev"
)

// Kind is a way in which a call goes wrong.
type Kind string

// The ways in which a call goes wrong.
const (
	StopBefore  Kind = "stop before"  // the caller's process ends before the effect
	StopAfter   Kind = "stop after"   // the caller's process ends after the effect and sees no answer
	ErrorBefore Kind = "error before" // an error without effect
	ErrorAfter  Kind = "error after"  // the effect, and an error: the answer is lost
	TimeOut     Kind = "time-out"     // no effect and no answer until the context ends, or patience
	Partial     Kind = "partial"      // a part of the effect, and an error
	Stale       Kind = "stale"        // the answer before this one
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{StopBefore, StopAfter, ErrorBefore, ErrorAfter, TimeOut, Partial, Stale}
}

// patience is how long a driver itself waits for an answer where the caller's
// context sets no limit.
const patience = time.Minute

// Plan numbers the calls of everything it wraps, from 1, and makes one of them
// go wrong. The zero Plan lets all pass. Its methods may be called from several
// goroutines.
type Plan struct {
	mu    sync.Mutex
	kind  Kind
	at    int
	stop  func()
	calls int    // that can go wrong in this way, since Arm
	hit   string // the call that did
	ended bool   // the caller's process
}

// Arm makes the call number at, counted from now among those that can go wrong
// in this way, do so. stop ends the caller's process; it must not wait for it.
func (p *Plan) Arm(kind Kind, at int, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kind, p.at, p.stop = kind, at, stop
	p.calls, p.hit, p.ended = 0, "", false
}

// Disarm lets all further calls pass; what Arm's have led to stays known.
func (p *Plan) Disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = 0
}

// Hit names the call that went wrong; empty: none yet.
func (p *Plan) Hit() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}

// Ended reports whether the caller's process has been ended by the plan.
func (p *Plan) Ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Call makes a call that has its effect whole or not at all. Others than
// drivers, a store say, are wrapped with it.
func (p *Plan) Call(ctx context.Context, name string, effect func() error) error {
	return p.call(ctx, name, effect, nil, nil)
}

// call makes a call. partial has a part of its effect, stale gives an older
// answer; nil: there is no such thing.
func (p *Plan) call(ctx context.Context, name string, effect, partial, stale func() error) error {
	kind, stop := p.next(name, partial != nil, stale != nil)
	wrong := abt2.Errorf(abt2.CodeUnavailable, "%s: %s", name, kind)
	switch kind {
	case "":
		return effect()
	case StopAfter:
		_ = effect() // nobody is left to see the answer
		stop()
	case StopBefore:
		stop()
	case ErrorAfter:
		_ = effect() // the answer is lost
	case TimeOut:
		limit := time.NewTimer(patience)
		defer limit.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
		}
	case Partial:
		_ = partial()
	case Stale:
		return stale()
	}
	return wrong
}

// next numbers a call and says how it goes wrong; empty: it does not.
func (p *Plan) next(name string, partial, stale bool) (Kind, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return ErrorBefore, nil // an ended process has no effects
	}
	if p.at == 0 {
		return "", nil
	}
	if p.kind == Partial && !partial || p.kind == Stale && !stale {
		return "", nil
	}
	if p.calls++; p.calls != p.at {
		return "", nil
	}
	p.hit = name
	if p.kind == StopAfter || p.kind == StopBefore {
		// The effect itself is still to come, but no other call's.
		p.ended = true
	}
	return p.kind, p.stop
}
