package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
)

// The address that operator.proto shows, with and without what was seen before.
func TestNamesByHTTP(t *testing.T) {
	found := filled[abt2.Lookup]()
	found.Digest = "d2"
	asked := abt2.LookupRequest{Product: "default", Name: "order"}
	for _, c := range []struct {
		name, path, seen, token string
		err                     error
		status                  int
		want                    abt2.LookupRequest // zero: the service is not asked
	}{
		{name: "at once", path: "/v1/names/default/order", status: 200, want: asked},
		{name: "a version", path: "/v1/names/shop/order@4", status: 200, want: abt2.LookupRequest{Product: "shop", Name: "order", Number: 4}},
		{name: "new", path: "/v1/names/default/order?wait=30s", seen: `"d1"`, status: 200, want: abt2.LookupRequest{Product: "default", Name: "order", Seen: "d1", Wait: 30 * time.Second}},
		{name: "not new", path: "/v1/names/default/order?wait=30s", seen: `"d2"`, status: 304, want: abt2.LookupRequest{Product: "default", Name: "order", Seen: "d2", Wait: 30 * time.Second}},
		{name: "a weak tag", path: "/v1/names/default/order", seen: `W/"d2"`, status: 304, want: abt2.LookupRequest{Product: "default", Name: "order", Seen: "d2"}},
		{name: "several tags", path: "/v1/names/default/order?wait=30s", seen: `"d1", "d2"`, status: 304, want: abt2.LookupRequest{Product: "default", Name: "order", Wait: 30 * time.Second}},
		{name: "no credential", path: "/v1/names/default/order", token: "-", status: 401},
		{name: "no duration", path: "/v1/names/default/order?wait=30", status: 400},
		{name: "no name", path: "/v1/names/default/Order", status: 400},
		{name: "no number", path: "/v1/names/default/order@0", status: 400},
		{name: "a huge name", path: "/v1/names/default/" + strings.Repeat("a", 100_000), status: 400},
		{name: "a huge number", path: "/v1/names/default/order@99999999999999999999", status: 400},
		{name: "not UTF-8", path: "/v1/names/default/%ff%00", status: 400},
		{name: "up and out", path: "/v1/names/default/..%2f..%2fetc", status: 400},
		{name: "a huge wait", path: "/v1/names/default/order?wait=" + strings.Repeat("9", 1000) + "h", status: 400},
		{name: "too many parts", path: "/v1/names/default/order/4", status: 404},
		{name: "unknown", path: "/v1/names/default/order", err: abt2.Errorf(abt2.CodeNotFound, "no order"), status: 404, want: asked},
		{name: "ending", path: "/v1/names/default/order", err: abt2.Errorf(abt2.CodeUnavailable, "the server ended"), status: 503, want: asked},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc := &recorder{lookup: found, err: c.err}
			_, ts := serve(t, svc)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ts.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.token == "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			if c.seen != "" {
				req.Header.Set("If-None-Match", c.seen)
			}
			resp, err := ts.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status {
				t.Fatalf("%s, %v: %s", resp.Status, err, body)
			}
			if resp.StatusCode < 400 && (resp.Header.Get("ETag") != `"d2"` || !strings.Contains(resp.Header.Get("Cache-Control"), "no-cache")) {
				t.Errorf("headers %v", resp.Header)
			}
			if resp.StatusCode == http.StatusOK {
				var got abt2.Lookup
				if err := json.Unmarshal(body, &got); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(found, got); d != "" {
					t.Error(d)
				}
			}
			var want []call
			if c.want != (abt2.LookupRequest{}) {
				want = []call{{"Lookup", []any{c.want}}}
			}
			if d := cmp.Diff(want, svc.calls); d != "" {
				t.Error(d)
			}
		})
	}
}
