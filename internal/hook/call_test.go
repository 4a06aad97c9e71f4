package hook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"abt2.dev"
)

// web is a hook before commit that is called.
func web(t *testing.T, h http.HandlerFunc) abt2.Hook {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return abt2.Hook{Name: "web", Verb: abt2.VerbCommit, When: abt2.HookBefore, URL: s.URL + "/T0KEN?key=T0KEN", Timeout: time.Minute}
}

func TestCall(t *testing.T) {
	var got abt2.HookCall
	var kind string
	_, err := ask(t, web(t, func(w http.ResponseWriter, r *http.Request) {
		kind = r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("Content-Type")
		_ = json.NewDecoder(r.Body).Decode(&got)
		w.WriteHeader(http.StatusNoContent)
	}))
	if err != nil || kind != "POST /T0KEN?key=T0KEN application/json" || got.Verb != abt2.VerbCommit || got.Edge != "http://127.0.0.1:8080" {
		t.Errorf("%v, %s, %+v", err, kind, got)
	}
}

func TestCallRefuses(t *testing.T) {
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		for r.Context().Err() == nil {
			_, _ = w.Write(bytes.Repeat([]byte("no\n"), 1000))
		}
	}
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
	}
	closed := httptest.NewServer(http.HandlerFunc(silent))
	closed.Close()
	down := web(t, silent)
	down.URL = closed.URL + "/T0KEN"
	slow := web(t, silent)
	slow.Timeout = 200 * time.Millisecond
	for name, tc := range map[string]struct {
		hook abt2.Hook
		says string
	}{
		"says no":  {web(t, answer(403, "freeze until Monday")), "it answered 403\n    freeze until Monday"},
		"redirect": {web(t, answer(302, "")), "it answered 302, and redirects are not followed"},
		"slow":     {slow, "it did not end within its timeout of 200ms"},
		"down":     {down, "it cannot be called: dial tcp"},
		"endless":  {web(t, endless), "it answered 418\n    … ("},
		"breaks":   {web(t, breaks), "its answer broke off"},
	} {
		if got := refused(t, tc.hook, tc.says); strings.Contains(got, "T0KEN") {
			t.Errorf("%s: shows the address: %s", name, got)
		}
	}
}
