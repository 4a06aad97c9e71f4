package route

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestExpect(t *testing.T) {
	for _, tt := range []struct {
		name           string
		lost           bool
		answeredAfter  time.Duration // of the loss; negative: never
		elsewhere      bool
		givenUp, whole bool
	}{
		{"healthy", false, 0, true, false, true},
		{"lost, answers in time", true, lostGrace - 1, true, false, true},
		{"lost, hangs", true, -1, true, true, false},
		{"lost, answers too late", true, lostGrace + 1, true, true, false},
		{"lost, hangs, nobody else", true, -1, false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInstance("order@3", "order-3-1", "127.0.0.1:1", false)
				var e Expectation
				ctx := in.Expect(t.Context(), &e, func() bool { return tt.elsewhere })
				defer e.Over()
				if tt.lost {
					in.lose()
				}
				if tt.answeredAfter >= 0 {
					time.Sleep(tt.answeredAfter)
					if got := e.Answered(); got != tt.whole {
						t.Errorf("Answered: %t", got)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := errors.Is(context.Cause(ctx), ErrLost); got != tt.givenUp || (ctx.Err() != nil) != tt.givenUp {
					t.Errorf("given up: %t, the context: %v", got, context.Cause(ctx))
				}
			})
		})
	}
}

func TestExpectEndsWithItsRequest(t *testing.T) {
	in := newInstance("order@3", "order-3-1", "127.0.0.1:1", false)
	var e Expectation
	ctx := in.Expect(t.Context(), &e, func() bool { return true })
	if !e.Answered() || ctx.Err() != nil {
		t.Errorf("answered, and the context is over: %v", ctx.Err())
	}
	e.Over()
	if ctx.Err() == nil {
		t.Error("over, and the context goes on")
	}
	in.lose()
	if errors.Is(context.Cause(ctx), ErrLost) {
		t.Error("lost after it was over")
	}
}
