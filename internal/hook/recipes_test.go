package hook

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

// recipe is a script of docs/hooks.md as a hook, with other addresses and folders in it.
func recipe(t *testing.T, name string, when abt2.HookTime, replace ...string) abt2.Hook {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	doc, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n# " + regexp.QuoteMeta(name) + ": .*?)```").FindSubmatch(doc)
	if m == nil {
		t.Fatalf("docs/hooks.md has no %s", name)
	}
	text := string(m[1])
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s does not contain %s", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return abt2.Hook{Verb: abt2.VerbCommit, When: when, Command: []string{path}, Timeout: time.Minute}
}

func TestChat(t *testing.T) {
	got, status := make(chan map[string]string, 10), 200
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message := map[string]string{}
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil || r.URL.Path != "/hooks/T0KEN" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", r.URL, err)
		}
		w.WriteHeader(status)
		got <- message
	}))
	defer chat.Close()
	h := New([]abt2.Hook{recipe(t, "chat.sh", abt2.HookAfter, "https://chat.example.com", chat.URL)}, slog.New(slog.DiscardHandler))
	h.pauses = nil
	c := call()
	c.Operator, c.Outcome = "li\"hua\\\n", &abt2.HookOutcome{OK: true}
	if err := h.After(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if m := <-got; m["text"] != `li"hua\: commit of default, environment 42 to 43: ok` {
		t.Errorf("the chat shows %q", m)
	}
	status = 500
	if err := h.After(t.Context(), c); err == nil {
		t.Error("a chat that is out of order is no failure, so nothing is tried again")
	}
}

func TestSmoke(t *testing.T) {
	served, broken := 43, ""
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != cookie {
			t.Errorf("asked with %q", r.Header.Get("Cookie"))
		}
		w.Header().Set("Abt2-Served", fmt.Sprintf("%d preview", served))
		if r.URL.Path == broken {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer edge.Close()
	h := New([]abt2.Hook{recipe(t, "smoke.sh", abt2.HookBefore)}, slog.New(slog.DiscardHandler))
	c := call()
	c.Edge = edge.URL
	check := func(says string) {
		t.Helper()
		switch err := h.Before(t.Context(), c, func(string) {}); {
		case says == "" && err != nil, says != "" && err == nil:
			t.Errorf("got %v, want %q", err, says)
		case says != "" && !strings.Contains(err.Error(), says):
			t.Errorf("got %v, want %q", err, says)
		}
	}
	check("")
	broken = "/cart"
	check(`/cart: got "500 43 preview", want 200 from environment 43`)
	broken, served = "", 42
	check(`/: got "200 42 preview"`)
	edge.Close()
	check("curl: (7)")
}

func TestTwoPeople(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := New([]abt2.Hook{recipe(t, "approve.sh", abt2.HookBefore, "/srv/approvals", dir)}, slog.New(slog.DiscardHandler))
	c := call()
	asked := func() error { return h.Before(t.Context(), c, func(string) {}) }
	if err := asked(); err == nil || !strings.Contains(err.Error(), "nobody has approved environment 43; whoever has looked at it: touch "+dir+"/default-43") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(dir+"/default-43", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := asked(); err != nil {
		t.Error(err)
	}
	c.Operator = me.Username
	if err := asked(); err == nil || !strings.Contains(err.Error(), "a second person is needed") {
		t.Errorf("got %v", err)
	}
	c.Operator, c.To = "lihua", 44
	if err := asked(); err == nil {
		t.Error("an approval of 43 is good for 44")
	}
}
