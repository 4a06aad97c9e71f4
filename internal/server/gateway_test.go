package server_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/server"
)

// needHAProxy returns the program. It skips where there is none, on a laptop; CI
// must have one.
func needHAProxy(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
		t.Fatal("haproxy is not installed; on Debian: apt-get install --no-install-recommends haproxy")
	}
	t.Skip("haproxy is not installed")
	return ""
}

// TestHAProxy releases to users who come to an HAProxy.
func TestHAProxy(t *testing.T) {
	needHAProxy(t)
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
	share := abt2.VerbRequest{By: ann, Verb: abt2.VerbCommit, Product: abt2.DefaultProduct, Yes: true, Share: 5_00}
	if _, err := in.api.Run(t.Context(), share, func(abt2.Progress) {}); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), abt2.AbilityShare.Lack()) {
		t.Errorf("commit for a share: error %v, want %s and why", err, abt2.CodeRefused)
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
	if err != nil || len(s.Edges) != 1 || s.Edges[0] != in.edge {
		t.Errorf("status: edges %v, error %v; want %s", s.Edges, err, in.edge)
	}
	// What HAProxy lacks is said at start and in status, and refused where it is asked for.
	log, err := os.ReadFile(filepath.Join(in.dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range abt2.Abilities {
		if !slices.Contains(s.Limits, "haproxy-1: "+a.Lack()) || !strings.Contains(string(log), a.Lack()) {
			t.Errorf("%s: status says %q; want that it lacks this, there and in the log", a, s.Limits)
		}
	}
	keep := abt2.Duration(time.Minute)
	if err := in.api.SetProduct(t.Context(), abt2.ProductRequest{By: ann, Product: abt2.DefaultProduct, Skew: &keep}); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), abt2.AbilitySkew.Lack()) {
		t.Errorf("skew protection: error %v, want %s and why", err, abt2.CodeRefused)
	}
	in.verb(abt2.VerbRollback)
	if got := in.page(""); !strings.Contains(got, "order@1") {
		t.Errorf("after rollback the page shows %s", got)
	}
	in.verb(abt2.VerbClean)
}

// TestHAProxyThatDoesNotAnswer: a commit to a gateway that is down, or hangs,
// switches nobody and says so; it is repeated when the gateway is back.
func TestHAProxyThatDoesNotAnswer(t *testing.T) {
	program := needHAProxy(t)
	in := prepare(t)
	link := filepath.Join(t.TempDir(), "haproxy")
	in.edgeKind, in.tune = server.EdgeHAProxy, func(c *server.Config) { c.HAProxyProgram = link }
	install := func() {
		t.Helper()
		if err := os.Symlink(program, link); err != nil {
			t.Fatal(err)
		}
	}
	install()
	in.start()
	in.release()
	in.create()
	in.put("order", "", 2, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\n", false)
	in.verb(abt2.VerbShip)
	commit := func(what string) {
		t.Helper()
		q := abt2.VerbRequest{By: ann, Verb: abt2.VerbCommit, Product: abt2.DefaultProduct, Yes: true, AckTimeout: time.Second}
		_, err := in.api.Run(t.Context(), q, func(abt2.Progress) {})
		if err == nil || !strings.Contains(err.Error(), "haproxy-1") {
			t.Errorf("commit to an HAProxy that %s: error %v, want one that names it", what, err)
		}
		s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
		if err != nil || s.Session == nil || s.Session.State != abt2.SessionOpen {
			t.Errorf("after a commit to an HAProxy that %s: session %+v, error %v; want that nothing has changed", what, s.Session, err)
		}
	}

	worker := in.haproxyProcess("worker")
	goOn := sync.OnceFunc(func() { _ = syscall.Kill(worker, syscall.SIGCONT) })
	t.Cleanup(goOn)
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	commit("hangs")
	goOn()
	if got := in.page(""); !strings.Contains(got, "order@1") {
		t.Errorf("after it hung the page shows %s", got)
	}

	if err := os.Remove(link); err != nil { // so that it is not started again at once
		t.Fatal(err)
	}
	if err := syscall.Kill(in.haproxyProcess("master"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in.until("HAProxy is gone", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(in.edge, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	commit("is down")
	if d, err := in.api.Validate(t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct, Edge: true}); err != nil || len(d) != 1 || d[0].Object != "haproxy-1" {
		t.Errorf("validate --edge: %+v, error %v; want that haproxy-1 does not answer", d, err)
	}
	install()
	in.until("HAProxy is back", func() bool {
		res, err := http.Get(in.edge + "/")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	})
	in.verb(abt2.VerbCommit)
	if got := in.page(""); !strings.Contains(got, "order@2") {
		t.Errorf("after commit the page shows %s", got)
	}
	in.noDifference()
}

// haproxyProcess is the pid of HAProxy's master or worker, as it says itself.
func (in *installation) haproxyProcess(kind string) int {
	in.t.Helper()
	c, err := net.Dial("unix", filepath.Join(in.dir, "haproxy", "m.sock"))
	if err != nil {
		in.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "show proc\n"); err != nil {
		in.t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		in.t.Fatal(err)
	}
	said, err := io.ReadAll(c)
	m := regexp.MustCompile(`(?m)^(\d+)\s+` + kind).FindSubmatch(said)
	if err != nil || m == nil {
		in.t.Fatalf("HAProxy says %q, error %v", said, err)
	}
	pid, _ := strconv.Atoi(string(m[1])) // digits, as matched
	return pid
}
