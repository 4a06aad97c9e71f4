// Package storetest is what tests need of a store: one in memory, and the suite
// that it and the real one both pass.
package storetest

import (
	"context"
	"slices"
	"sync"

	"abt2.dev"
)

// Memory is a store that forgets everything with the process. It is used like
// store.Store; a test that wants faults wraps it in Guarded.
type Memory struct {
	mu       sync.Mutex
	revision uint64
	state    *abt2.State // nobody changes it
	changed  uint64      // revision of state
	events   []abt2.Event
	digest   string
	marked   uint64 // revision of digest
}

// NewMemory returns a store with the state of a fresh installation.
func NewMemory(epoch string) *Memory {
	return &Memory{revision: 1, changed: 1, state: abt2.NewState(epoch)}
}

// State returns the current state, a private copy.
func (m *Memory) State(ctx context.Context) (*abt2.State, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Clone(), nil
}

// Update runs fn on a copy of the state and keeps the outcome, or runs it
// again if another change came in between.
func (m *Memory) Update(ctx context.Context, fn func(*abt2.State) error) (*abt2.State, error) {
	for {
		if err := ended(ctx); err != nil {
			return nil, err
		}
		m.mu.Lock()
		now, changed := m.state, m.changed
		m.mu.Unlock()
		next := now.Clone()
		if err := fn(next); err != nil {
			return nil, err
		}
		if m.keep(next, changed) {
			return next, nil
		}
	}
}

// keep makes next the state unless another change came in between.
func (m *Memory) keep(next *abt2.State, changed uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed != changed {
		return false
	}
	m.revision++
	m.changed = m.revision
	for _, e := range next.Events {
		e.Seq = uint64(len(m.events)) + 1
		m.events = append(m.events, e)
	}
	next.Events = nil
	m.state = next.Clone()
	return true
}

// Mark gives a table of this content its identity.
func (m *Memory) Mark(ctx context.Context, digest string) (abt2.Mark, error) {
	if err := ended(ctx); err != nil {
		return abt2.Mark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marked == 0 || m.digest != digest {
		m.revision++
		m.digest, m.marked = digest, m.revision
	}
	return abt2.Mark{Epoch: m.state.Epoch, Revision: m.marked}, nil
}

// Events returns the product's last events, the newest first. Limit 0 is no limit.
func (m *Memory) Events(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []abt2.Event
	for _, e := range slices.Backward(m.events) {
		if e.Product == product && (limit == 0 || len(out) < limit) {
			out = append(out, e)
		}
	}
	return out, nil
}

func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return abt2.Wrap(abt2.CodeUnavailable, context.Cause(ctx), "the store was not asked in time")
	}
	return nil
}
