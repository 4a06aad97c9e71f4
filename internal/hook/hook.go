// Package hook runs what operators have set before and after verbs: commands and
// calls of web services, each of which is given the verb's plan as JSON.
package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"abt2.dev"
)

// Hooks are the hooks of a server. The methods may be called from several goroutines.
type Hooks struct {
	list   []abt2.Hook
	client *http.Client
	log    *slog.Logger
	pauses []time.Duration // before each further attempt to tell a hook
}

// New returns the hooks of the list, which have passed Validate.
func New(list []abt2.Hook, log *slog.Logger) *Hooks {
	return &Hooks{
		list: list, client: newClient(), log: log,
		pauses: []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute},
	}
}

// Names lists, in order, the hooks that stand there.
func (h *Hooks) Names(when abt2.HookTime, verb abt2.Verb, product abt2.ProductName) []string {
	var out []string
	for _, one := range h.of(when, verb, product) {
		out = append(out, one.Title())
	}
	return out
}

func (h *Hooks) of(when abt2.HookTime, verb abt2.Verb, product abt2.ProductName) []abt2.Hook {
	var out []abt2.Hook
	for _, one := range h.list {
		if one.When == when && one.Verb == verb && (one.Product == "" || one.Product == product) {
			out = append(out, one)
		}
	}
	return out
}

// Before asks the hooks before the call's verb, one after the other, and returns
// the refusal of the first that does not agree: with CodeRefused, its name and
// what it printed. One that cannot be asked, or does not answer in time, does
// not agree. When ctx ends, what is at work is ended, and the cause returned.
func (h *Hooks) Before(ctx context.Context, c abt2.HookCall, asking func(name string)) error {
	c.When = abt2.HookBefore
	for _, one := range h.of(c.When, c.Verb, c.Product) {
		asking(one.Title())
		said, err := h.attempt(ctx, one, c)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			h.log.Info("a hook refuses a verb", "hook", one.Title(), "verb", c.Verb, "product", c.Product, "error", err)
			return abt2.Errorf(abt2.CodeRefused, "hook %s refuses %s, and nothing has changed: %v%s", one.Title(), c.Verb, err, indented(said))
		}
		h.log.Info("a hook agrees to a verb", "hook", one.Title(), "verb", c.Verb, "product", c.Product)
	}
	return nil
}

// After tells the hooks after the call's verb, side by side. It returns when each
// has succeeded, has failed five times within about three minutes beside its own
// timeouts, or ctx ends. The error names those that were not told.
func (h *Hooks) After(ctx context.Context, c abt2.HookCall) error {
	c.When = abt2.HookAfter
	list := h.of(c.When, c.Verb, c.Product)
	failures := make([]string, len(list))
	var group sync.WaitGroup
	for i, one := range list {
		group.Go(func() { failures[i] = h.tell(ctx, one, c) })
	}
	group.Wait()
	var text []string
	for _, f := range failures {
		if f != "" {
			text = append(text, f)
		}
	}
	if len(text) == 0 {
		return nil
	}
	return abt2.Errorf(abt2.CodeFailed, "%s", strings.Join(text, "\n"))
}

// tell tells one hook, and returns why that did not succeed.
func (h *Hooks) tell(ctx context.Context, one abt2.Hook, c abt2.HookCall) (failure string) {
	for attempt := 0; ; attempt++ {
		said, err := h.attempt(ctx, one, c)
		if err == nil {
			return ""
		}
		failure = fmt.Sprintf("hook %s, %d attempts: %v%s", one.Title(), attempt+1, err, indented(said))
		if attempt == len(h.pauses) || ctx.Err() != nil {
			return failure
		}
		h.log.Warn("a hook has failed and is tried again", "hook", one.Title(), "verb", c.Verb, "product", c.Product, "error", err, "again_in", h.pauses[attempt])
		again := time.NewTimer(h.pauses[attempt])
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return failure
		}
	}
}

// attempt runs or calls a hook once. said is what it printed or answered, fit to
// be shown; the error has none of it.
func (h *Hooks) attempt(ctx context.Context, one abt2.Hook, c abt2.HookCall) (said string, err error) {
	plan, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("the plan cannot be written: %w", err)
	}
	late := fmt.Errorf("it did not end within its timeout of %s", one.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, one.Timeout, late)
	defer cancel()
	out := newOutput(token(c.Cookie))
	if len(one.Command) > 0 {
		err = run(ctx, one.Command, environment(c), plan, out)
	} else {
		err = h.call(ctx, one.URL, plan, out)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out.String(), err
}

// token is the part of a cookie that nobody may see.
func token(cookie string) string {
	_, token, _ := strings.Cut(cookie, "=")
	return token
}

// indented sets what a hook said apart from what is said about it.
func indented(said string) string {
	said = strings.TrimSpace(said)
	if said == "" {
		return ""
	}
	return "\n    " + strings.ReplaceAll(said, "\n", "\n    ")
}
