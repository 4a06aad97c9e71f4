package hook

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cookie = "abt2=c2VjcmV0LXRva2VuLTEyMzQ"

func call() abt2.HookCall {
	return abt2.HookCall{
		Format: abt2.HookFormat, Verb: abt2.VerbCommit, Product: "default", Operator: "lihua", From: 42, To: 43, Edge: "http://127.0.0.1:8080", Cookie: cookie,
		Session: &abt2.HookSession{ID: 12, State: abt2.SessionOpen, Operator: "lihua", Description: "sprint 44"},
		Plan:    []abt2.PlanLine{{Module: "web", From: abt2.VersionID{Module: "web", Number: 6}, To: abt2.VersionID{Module: "web", Number: 7}, State: abt2.TargetShipped}},
	}
}

// shell is a hook before commit that runs a script.
func shell(t *testing.T, name, text string) abt2.Hook {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return abt2.Hook{Name: name, Verb: abt2.VerbCommit, When: abt2.HookBefore, Command: []string{path}, Timeout: time.Minute}
}

// ask asks hooks and returns which it asked, and the refusal.
func ask(t *testing.T, list ...abt2.Hook) (asked []string, err error) {
	t.Helper()
	for _, h := range list {
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	err = New(list, slog.New(slog.DiscardHandler)).Before(t.Context(), call(), func(name string) { asked = append(asked, name) })
	return asked, err
}

// refused checks the refusal of one hook.
func refused(t *testing.T, h abt2.Hook, says ...string) string {
	t.Helper()
	_, err := ask(t, h)
	if abt2.CodeOf(err) != abt2.CodeRefused {
		t.Fatalf("got %v, want a refusal", err)
	}
	for _, s := range append(says, h.Title()+" refuses commit, and nothing has changed") {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%.500q does not say %q", err, s)
		}
	}
	return err.Error()
}

func TestOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ran")
	other := shell(t, "other", "echo other >>"+file)
	other.Product = "shop"
	after := shell(t, "after", "echo after >>"+file)
	after.When = abt2.HookAfter
	asked, err := ask(t, other, after, shell(t, "one", "echo one >>"+file), shell(t, "two", "echo two >>"+file+"; exit 3"), shell(t, "three", "echo three >>"+file))
	if abt2.CodeOf(err) != abt2.CodeRefused || err.Error() != "hook two refuses commit, and nothing has changed: it ended with exit status 3" {
		t.Errorf("got %v", err)
	}
	b, _ := os.ReadFile(file)
	if got := strings.Join(asked, " "); got != "one two" || string(b) != "one\ntwo\n" {
		t.Errorf("asked %s, ran %q", got, b)
	}
}

func TestAfter(t *testing.T) {
	var calls, given atomic.Int32
	flaky := web(t, func(w http.ResponseWriter, r *http.Request) {
		var c abt2.HookCall
		if json.NewDecoder(r.Body).Decode(&c) != nil || c.When != abt2.HookAfter || c.Outcome == nil || c.Outcome.Code != abt2.CodeFailed {
			t.Errorf("told %+v", c)
		}
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	told := make(chan struct{}, 100)
	never := web(t, func(w http.ResponseWriter, _ *http.Request) {
		given.Add(1)
		w.WriteHeader(http.StatusBadGateway)
		told <- struct{}{}
	})
	file := filepath.Join(t.TempDir(), "outcome")
	script := shell(t, "script", "echo $ABT2_WHEN $ABT2_OUTCOME >"+file)
	flaky.When, never.When, script.When, never.Name = abt2.HookAfter, abt2.HookAfter, abt2.HookAfter, "never"

	h := New([]abt2.Hook{flaky, never, script}, slog.New(slog.DiscardHandler))
	h.pauses = []time.Duration{1, 1, 1, 1}
	c := call()
	c.Outcome = &abt2.HookOutcome{Code: abt2.CodeFailed}
	err := h.After(t.Context(), c)
	if abt2.CodeOf(err) != abt2.CodeFailed || err.Error() != "hook never, 5 attempts: it answered 502" {
		t.Errorf("got %v", err)
	}
	if calls.Load() != 3 || given.Load() != 5 {
		t.Errorf("called %d and %d times", calls.Load(), given.Load())
	}
	if b, _ := os.ReadFile(file); string(b) != "after failed\n" {
		t.Errorf("the script was told %q", b)
	}
}

// A pause between attempts ends with the server.
func TestAfterEnds(t *testing.T) {
	told := make(chan struct{}, 1)
	never := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		told <- struct{}{}
	})
	never.When = abt2.HookAfter
	h := New([]abt2.Hook{never}, slog.New(slog.DiscardHandler))
	h.pauses = []time.Duration{time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.After(ctx, call()) }()
	<-told
	cancel()
	if err := <-done; err == nil {
		t.Error("a hook that was not told is no error")
	}
}

// No cut shows a part of the secret.
func TestOutputCut(t *testing.T) {
	secret := "0123456789abcdef"
	for pad := range 3 * len(secret) {
		o := newOutput(secret)
		for _, part := range []string{"......", secret, strings.Repeat(".", mostOutput-pad)} {
			_, _ = io.WriteString(o, part)
		}
		_, text, cut := strings.Cut(o.String(), "left out)\n")
		if !cut {
			text = o.String()
		}
		if rest := strings.ReplaceAll(text, "(cookie)", ""); strings.Trim(rest, ".(cokie)") != "" || len(text) > mostOutput+len(secret) {
			t.Fatalf("pad %d: %.60q", pad, text)
		}
	}
}
