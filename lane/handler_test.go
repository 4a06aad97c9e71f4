package lane_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/baggage"

	"abt2.dev/lane"
	"abt2.dev/lane/feedpb"
)

func TestHandler(t *testing.T) {
	table := tableOf(1, 50, nil, "40 retiring web@1", "41 backup web@1", "42 online web@2", "43 preview web@1")
	for _, tt := range []struct {
		name   string
		header http.Header
		status int
		env    uint64 // seen by the handler
		text   string
	}{
		{"stamped", http.Header{"Abt2-Env": {"41"}}, 200, 41, ""},
		{"label", http.Header{"Abt2-Env": {"41.x"}}, 200, 41, ""},
		{"baggage", http.Header{"Baggage": {"a=1,abt2.env=43"}}, 200, 43, ""},
		{"not stamped: backup names this version", nil, 200, 41, ""},
		{"mixed is served", http.Header{"Abt2-Env": {"42"}}, 200, 42, ""},
		{"unknown is served", http.Header{"Abt2-Env": {"99"}}, 200, 99, ""},
		{"addressed to this version", http.Header{"Abt2-Env": {"41"}, "Abt2-To": {"web@1"}}, 200, 41, ""},
		{"addressed to this instance", http.Header{"Abt2-Env": {"41"}, "Abt2-To": {"web@1/web-1"}}, 200, 41, ""},
		{"addressed to another instance", http.Header{"Abt2-Env": {"41"}, "Abt2-To": {"web@1/web-2"}}, 421, 0, "this is web@1/web-1, not web@1/web-2"},
		{"addressed to another version", http.Header{"Abt2-Env": {"42"}, "Abt2-To": {"web@2"}}, 421, 0, "not web@2"},
		{"malformed stamp", http.Header{"Abt2-Env": {"x"}}, 400, 0, "Abt2-Env"},
		{"stamped twice", http.Header{"Abt2-Env": {"41", "41"}}, 400, 0, "2 times"},
		{"malformed baggage", http.Header{"Baggage": {"abt2.env=0"}}, 400, 0, "abt2.env"},
		{"malformed address", http.Header{"Abt2-Env": {"41"}, "Abt2-To": {"web"}}, 400, 0, "Abt2-To"},
		{"probe", http.Header{"Abt2-Probe": {"1"}}, 200, 0, ""},
		{"stamped probe", http.Header{"Abt2-Probe": {"1"}, "Abt2-Env": {"41"}}, 200, 41, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, _ := joinTable(t, table)
			served := false
			h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				served = true
				if env, ok := lane.Environment(r.Context()); env != tt.env || ok != (tt.env != 0) {
					t.Errorf("environment %d, %v, want %d", env, ok, tt.env)
				}
				if got := l.Stats().Carried[tt.env]; tt.env != 0 && got != 1 {
					t.Errorf("%d carried while serving", got)
				}
			}))
			r := httptest.NewRequest("GET", "/", nil)
			for k, v := range tt.header {
				r.Header[k] = v
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || served != (tt.status == 200) || !strings.Contains(w.Body.String(), tt.text) {
				t.Errorf("got %d %q, served %v", w.Code, w.Body, served)
			}
			if refused := w.Header().Get("Abt2-Refused"); (refused == "to") != (tt.status == 421) {
				t.Errorf("Abt2-Refused: %q", refused)
			}
			if got := l.Stats().Carried; len(got) != 0 {
				t.Errorf("carried afterwards: %v", got)
			}
		})
	}
}

func TestHandlerWithoutAnEnvironmentOfItsVersion(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 42, nil, "40 retiring web@1", "42 online web@2"))
	w := httptest.NewRecorder()
	l.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestSelfCheckAndReport(t *testing.T) {
	l, f := joinTable(t, tableOf(1, 50, nil, "41 backup order@1", "42 online web@1", "43 preview web@2"))
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, env := range []string{"42", "43", "43", "41", "39", "51", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		if env != "" {
			r.Header.Set("Abt2-Env", env)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	s := l.Stats()
	if fmt.Sprint(s.Mixed) != "map[none web@1:1 web@2 web@1:2]" || s.Unverified != 2 || s.Stamped != 1 {
		t.Errorf("got %+v", s)
	}
	// The first stamp of its own is reported without being asked for.
	f.await(t, func(m *feedpb.RouterMessage) bool {
		return m.GetReport().GetStamped() == 1 && m.GetReport().GetMixed()["web@2 web@1"] == 2
	})
}

func TestFallbackIsNotMixed(t *testing.T) {
	f := newFakeFeed(tableOf(1, 43, nil, "42 online soft@1", "43 preview soft@2"))
	url, _ := f.serve(t)
	l := join(t, url, lane.Identity("soft", "soft@1", "soft-1", "default"))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Abt2-Env", "43")
	l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
	if s := l.Stats(); len(s.Mixed) != 0 || s.Fallbacks != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestHandlerKeepsForeignBaggage(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 42, nil, "42 online web@1"))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Abt2-Env", "42")
	r.Header.Set("Baggage", "user=7,abt2.env=41")
	l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		bag := baggage.FromContext(r.Context())
		if bag.Member("user").Value() != "7" || bag.Member("abt2.env").Value() != "42" {
			t.Errorf("got %s", bag)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}
