package storetest_test

import (
	"context"
	"errors"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/store/storetest"
)

func TestGuarded(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store {
		pass := func(_ context.Context, _ string, effect func() error) error { return effect() }
		return storetest.Guarded{Store: storetest.NewMemory("epoch"), Call: pass}
	})
}

// TestGuardedLosesAnAnswer: the effect happens, and the caller does not see it.
func TestGuardedLosesAnAnswer(t *testing.T) {
	lost := errors.New("lost")
	inner := storetest.NewMemory("epoch")
	g := storetest.Guarded{Store: inner, Call: func(_ context.Context, _ string, effect func() error) error { return errors.Join(lost, effect()) }}
	s, err := g.Update(t.Context(), func(s *abt2.State) error { s.LastSession = 7; return nil })
	if s != nil || !errors.Is(err, lost) {
		t.Errorf("answered %v, %v", s, err)
	}
	if s, err := inner.State(t.Context()); err != nil || s.LastSession != 7 {
		t.Errorf("stored %+v, %v", s, err)
	}
}
