package server_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/server"
)

// TestHAProxy releases to users who come to an HAProxy.
func TestHAProxy(t *testing.T) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
			t.Fatal("haproxy is not installed; on Debian: apt-get install --no-install-recommends haproxy")
		}
		t.Skip("haproxy is not installed")
	}
	in := prepare(t)
	in.edgeKind = server.EdgeHAProxy
	in.start()
	in.release()
	if got := in.page(""); got != "[{web@1 3} {order@1 3}]" && !strings.Contains(got, "web@1") {
		t.Errorf("the page shows %s", got)
	}
	in.noDifference()

	in.create()
	in.put("order", "", 2, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\n", false)
	preview := in.verb(abt2.VerbShip)
	if got := in.page(preview.Cookie); !strings.Contains(got, "order@2") {
		t.Errorf("the preview shows %s", got)
	}
	link, err := url.Parse(preview.Link)
	if err != nil {
		t.Fatal(err)
	}
	if "http://"+link.Host != in.edge {
		t.Errorf("the link leads to %s, users come to %s", link.Host, in.edge)
	}
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := once.Get(preview.Link)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if set := res.Header.Get("Set-Cookie"); !strings.HasPrefix(set, preview.Cookie) {
		t.Errorf("the link sets %q, want %q: status %d", set, preview.Cookie, res.StatusCode)
	}

	_ = in.stop() // users do not notice
	if got := in.page(""); !strings.Contains(got, "order@1") {
		t.Errorf("without a server the page shows %s", got)
	}
	in.start()
	if out := in.verb(abt2.VerbCommit); out.Edges != 2 {
		t.Errorf("%d edges confirmed, want HAProxy and the one behind it", out.Edges)
	}
	if got := in.page(""); !strings.Contains(got, "order@2") {
		t.Errorf("after commit the page shows %s", got)
	}
	in.noDifference()
	s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || len(s.Limits) == 0 || len(s.Edges) != 1 || s.Edges[0] != in.edge {
		t.Errorf("status: edges %v, limits %q, error %v; want %s and what it lacks", s.Edges, s.Limits, err, in.edge)
	}
	in.verb(abt2.VerbRollback)
	if got := in.page(""); !strings.Contains(got, "order@1") {
		t.Errorf("after rollback the page shows %s", got)
	}
	in.verb(abt2.VerbClean)
}
