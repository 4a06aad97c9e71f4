package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/api"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/internal/server"
)

// installation is a data folder and the server that works on it.
type installation struct {
	t       testing.TB
	dir     string
	api     *api.Client
	edge    string
	stop    func() error
	command string   // the program of edge, shims and modules
	version string   // of the server
	args    []string // of the server, where it is a process of its own

	edgeKind string   // empty: the built-in one
	bfes     []string // folders, with server.EdgeBFE
	tune     func(*server.Config)

	addresses server.Addresses // of the last server
}

// install prepares an installation and runs its server within the test.
func install(t *testing.T) *installation {
	t.Helper()
	in := prepare(t)
	in.start()
	return in
}

// prepare makes the folder of an installation whose server is not started yet.
func prepare(t testing.TB) *installation {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{t: t, dir: dir, command: program, stop: func() error { return nil }}
	t.Cleanup(func() {
		_ = in.stop()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := server.Down(ctx, dir, false, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("down: %v", err)
		}
		if t.Failed() {
			t.Logf("the data folder is kept: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return in
}

// start runs a server on the folder and returns when it is ready.
func (in *installation) start() {
	in.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan server.Addresses, 1), make(chan error, 1)
	log, err := os.OpenFile(filepath.Join(in.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		in.t.Fatal(err)
	}
	go func() {
		c := server.Config{
			Program: in.command, DataDir: in.dir, Listen: "127.0.0.1:0", EdgeListen: "127.0.0.1:0", AllowRoot: true, Version: in.version, Edge: in.edgeKind,
			BFEFolders: in.bfes, BFEWebSockets: len(in.bfes) > 0,
			Log: slog.New(slog.NewTextHandler(log, nil)), Ready: func(a server.Addresses) { ready <- a },
		}
		if in.tune != nil {
			in.tune(&c)
		}
		done <- server.Run(ctx, c)
	}()
	in.stop = sync.OnceValue(func() error { cancel(); defer log.Close(); return <-done })
	select {
	case a := <-ready:
		in.edge, in.addresses = a.Edge, a
		in.api = api.NewClient(a.API, in.token, nil)
	case err := <-done:
		in.t.Fatalf("the server ended before it was ready: %v", err)
	}
}

func (in *installation) token() (string, error) {
	b, err := os.ReadFile(filepath.Join(in.dir, "operator.token"))
	return strings.TrimSpace(string(b)), err
}

var ann = abt2.By{Operator: "ann"}

func (in *installation) create() {
	in.t.Helper()
	if _, err := in.api.Create(in.t.Context(), abt2.CreateRequest{By: ann, Product: abt2.DefaultProduct}); err != nil {
		in.t.Fatal(err)
	}
}

// put puts a build of a module that calls next; another build number is another version.
func (in *installation) put(name abt2.ModuleName, next string, build int, yaml string, init bool) {
	in.t.Helper()
	script := fmt.Sprintf("#!/bin/sh\n# build %d\nexec %s module %s\n", build, in.command, next)
	sum := sha256.Sum256([]byte(script))
	a := abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(script)), Name: string(name), Format: abt2.FormatExecutable}
	if err := in.api.Upload(in.t.Context(), a, strings.NewReader(script)); err != nil {
		in.t.Fatal(err)
	}
	_, err := in.api.Put(in.t.Context(), abt2.PutRequest{
		By: ann, Product: abt2.DefaultProduct, Init: init,
		Modules: []abt2.PutModule{{Module: name, Artifact: a, File: []byte(yaml)}},
	})
	if err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) verb(v abt2.Verb) abt2.Outcome {
	in.t.Helper()
	out, err := in.api.Run(in.t.Context(), abt2.VerbRequest{By: ann, Verb: v, Product: abt2.DefaultProduct, Yes: true}, func(abt2.Progress) {})
	if err != nil {
		in.t.Fatalf("%s: %v", v, err)
	}
	if len(out.Unconfirmed)+len(out.Warnings) > 0 {
		in.t.Errorf("%s: unconfirmed %v, warnings %v", v, out.Unconfirmed, out.Warnings)
	}
	return out
}

// release brings the first web and order online.
func (in *installation) release() {
	in.t.Helper()
	in.create()
	in.put("web", "order", 1, "kind: edge\nprefix: /\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\n", true)
	in.put("order", "", 1, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 10s\n", true)
	in.verb(abt2.VerbShip)
	in.verb(abt2.VerbCommit)
	in.verb(abt2.VerbClean)
}

func (in *installation) page(cookie string) string {
	in.t.Helper()
	hops, err := hopsOf(in.t.Context(), http.DefaultClient, in.edge+"/", cookie)
	if err != nil {
		in.t.Fatal(err)
	}
	return fmt.Sprint(hops)
}

// text is what a path answers.
func (in *installation) text(path, cookie string) string {
	in.t.Helper()
	r, err := http.NewRequestWithContext(in.t.Context(), http.MethodGet, in.edge+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return string(b)
}

func (in *installation) noDifference() {
	in.t.Helper()
	d, err := in.api.Validate(in.t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct})
	if err != nil || len(d) > 0 {
		in.t.Errorf("validate: %+v, %v; want no difference", d, err)
	}
}

func TestRelease(t *testing.T) {
	in := install(t)
	in.release()
	if got := in.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Fatalf("users see %s", got)
	}
	in.noDifference()

	in.create()
	in.put("web", "order", 2, "", false)
	in.put("order", "", 2, "", false)
	cookie := in.verb(abt2.VerbShip).Cookie
	if got := in.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("users see %s while a preview is up", got)
	}
	if got := in.page(cookie); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("the cookie shows %s", got)
	}

	for token, want := range map[string]string{"": "web@1: SDK true, HTTP true, error <nil>", cookie: "web@2: SDK false, HTTP false, error <nil>"} {
		if got := in.text("/online", token); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}

	load := in.underLoad()
	for range 3 {
		in.verb(abt2.VerbCommit)
		in.verb(abt2.VerbRollback)
	}
	in.verb(abt2.VerbCommit)
	requests, failed, mixed := load()
	if failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	if got := in.page(""); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("after commit users see %s", got)
	}
	if got := in.page(cookie); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("after commit the cookie shows %s", got)
	}
	in.verb(abt2.VerbClean)
	in.noDifference()
}

// underLoad asks for the page from several goroutines until the function it
// returns is called, which tells how that went.
func (in *installation) underLoad() func() (requests, failed, mixed int64) {
	var c count
	page := in.edge + "/"
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				c.ask(in.t, http.DefaultClient, page)
			}
		})
	}
	return func() (int64, int64, int64) {
		cancel()
		group.Wait()
		return c.requests.Load(), c.failed.Load(), c.mixed.Load()
	}
}

// count is what became of requests.
type count struct{ requests, failed, mixed atomic.Int64 }

// ask asks for a page. Its hops are of one environment, and of one release.
func (c *count) ask(t testing.TB, client *http.Client, page string) {
	hops, err := hopsOf(context.Background(), client, page, "")
	c.requests.Add(1)
	if err != nil {
		c.failed.Add(1)
		t.Logf("failed: %v", err)
		return
	}
	for _, h := range hops {
		if h.Environment != hops[0].Environment || strings.HasSuffix(h.Version, "@2") != strings.HasSuffix(hops[0].Version, "@2") {
			c.mixed.Add(1)
			t.Logf("mixed: %v", hops)
			return
		}
	}
}

func TestUsersDoNotNoticeTheServersEnd(t *testing.T) {
	in := install(t)
	in.release()
	before, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil {
		t.Fatal(err)
	}
	load := in.underLoad()
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	if got := in.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("without a server users see %s", got)
	}
	in.start()
	in.noDifference()
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	after, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(before.Instances) != fmt.Sprint(after.Instances) {
		t.Errorf("instances were %v, are %v", before.Instances, after.Instances)
	}
}

func TestANewerServerUpgradesItsEdge(t *testing.T) {
	in := install(t)
	in.release()
	edge := edgectl.NewClient(filepath.Join(in.dir, "edge"))
	before, err := edge.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	load := in.underLoad()
	for _, version := range []string{"", "newer"} {
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}
		in.version = version
		in.start()
		after, err := edge.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if upgraded := !after.Started.Equal(before.Started); upgraded != (version != "") || after.Version != version || after.Addresses[0] != before.Addresses[0] {
			t.Errorf("with server %q the edge is %q of %v at %v; was of %v at %v", version, after.Version, after.Started, after.Addresses, before.Started, before.Addresses)
		}
	}
	in.noDifference()
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
}

func TestASecondServerIsRefused(t *testing.T) {
	in := install(t)
	err := server.Run(t.Context(), server.Config{
		Program: in.command, DataDir: in.dir, Listen: "127.0.0.1:0", EdgeListen: "127.0.0.1:0", AllowRoot: true, Log: slog.New(slog.DiscardHandler),
	})
	if abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("a second server on the folder: %v, want refused", err)
	}
}

func TestNothingIsAnsweredWithoutACredential(t *testing.T) {
	in := install(t)
	base := "http://" + strings.TrimSpace(read(t, filepath.Join(in.dir, "listen")))
	for _, path := range []string{"/metrics", "/metrics/edge", "/abt2.v1.OperatorService/Status", "/abt2.feed.v1.FeedService/Fetch", "/v1/artifacts/" + strings.Repeat("0", 64)} {
		res, err := http.Post(base+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode/100 != 4 {
			t.Errorf("%s without a credential: %s", path, res.Status)
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
