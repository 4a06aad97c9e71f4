package disconf_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
	"abt2.dev/internal/driver/disconf"
	"abt2.dev/lane/disconf/disconftest"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// table is one of a product whose environments 42 and 43 differ in order.
func table(revision uint64, online abt2.EnvironmentID) abt2.Table {
	v := func(m abt2.ModuleName, n uint64) abt2.VersionID { return abt2.VersionID{Module: m, Number: n} }
	return abt2.Table{
		Mark: abt2.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: 43,
		Products: []abt2.TableProduct{{Name: abt2.DefaultProduct, Online: online}},
		Environments: []abt2.TableEnvironment{
			{ID: 42, Product: abt2.DefaultProduct, Modules: []abt2.VersionID{v("order", 3), v("web", 1)}},
			{ID: 43, Product: abt2.DefaultProduct, Modules: []abt2.VersionID{v("order", 4), v("web", 1)}},
		},
	}
}

func config(e *zktest.Ensemble, owner string) disconf.Config {
	return disconf.Config{
		ZooKeeper: e.Addresses(), Prefix: "/estate/disconf", Version: "1_0_0_0", Env: "online", Owner: owner, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, e *zktest.Ensemble, owner string) *disconf.Centre {
	t.Helper()
	return openWith(t, config(e, owner))
}

func openWith(t testing.TB, cfg disconf.Config) *disconf.Centre {
	t.Helper()
	c, err := disconf.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// listen serves the GETs and returns the address.
func listen(t testing.TB, c *disconf.Centre) string {
	srv := httptest.NewServer(c.Handler())
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func apply(t testing.TB, c *disconf.Centre, tab abt2.Table) {
	t.Helper()
	if err := c.Apply(testContext(t), tab); err != nil {
		t.Fatal(err)
	}
}

const (
	map42 = `{"order":"order@3","web":"web@1"}`
	map43 = `{"order":"order@4","web":"web@1"}`
)

// client starts disconf's own client, in Java, as host; it begins with the values.
func client(t *testing.T, address, host string, keys []string, values ...string) *disconftest.Client {
	t.Helper()
	c := disconftest.Start(t, disconftest.Settings{Server: address, App: "default", Version: "1_0_0_0", Env: "online", Host: host}, keys...)
	for _, v := range append(values, "ready") {
		c.Says(v)
	}
	return c
}

const (
	online   = "item/abt2.online"
	file     = "file/abt2.properties"
	online42 = online + "=42 " + map42
	online43 = online + "=43 " + map43
)

// eachSource runs a test with values that are fetched from us, and with some that
// are fetched from a disconf-web; start opens a Centre and returns where.
func eachSource(t *testing.T, test func(t *testing.T, start func(disconf.Config) (c *disconf.Centre, address string), cfg disconf.Config)) {
	t.Run("ours", func(t *testing.T) {
		test(t, func(cfg disconf.Config) (*disconf.Centre, string) {
			c := openWith(t, cfg)
			return c, listen(t, c)
		}, config(zktest.StartPatient(t, 1), "ours"))
	})
	t.Run("disconf-web", func(t *testing.T) {
		e := zktest.StartPatient(t, 1)
		w, cfg := startWeb(t, e, e.Connect())
		test(t, func(cfg disconf.Config) (*disconf.Centre, string) { return openWith(t, cfg), w.Address }, cfg)
	})
}

// TestClientsFollow: disconf's own client has the new value in effect when
// Apply returns; one that does not follow is named.
func TestClientsFollow(t *testing.T) { eachSource(t, testClientsFollow) }

func testClientsFollow(t *testing.T, start func(disconf.Config) (*disconf.Centre, string), cfg disconf.Config) {
	c, address := start(cfg)
	apply(t, c, table(1, 42))
	one := client(t, address, "10.0.0.1", []string{online, file}, online42, file+"={environment=42, module.order=order@3, module.web=web@1}")
	two := client(t, address, "10.0.0.2", []string{online}, online42)
	apply(t, c, table(2, 43))
	two.Says(online43)
	got := []string{one.Line(), one.Line()} // in either order
	slices.Sort(got)
	if want := []string{file + "={environment=43, module.order=order@4, module.web=web@1}", online43}; !slices.Equal(got, want) {
		t.Errorf("the client says %q, want %q", got, want)
	}
	if d, err := c.Compare(testContext(t), table(2, 43)); err != nil || len(d) > 0 {
		t.Errorf("differences %v, %v", d, err)
	}

	two.Pause()
	soon, cancel := context.WithTimeout(testContext(t), 2*time.Second)
	defer cancel()
	err := c.Apply(soon, table(3, 42))
	if abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), "not in effect yet: 10.0.0.2_") || !strings.Contains(err.Error(), " of abt2.online (has 43)") || strings.Contains(err.Error(), "10.0.0.1") {
		t.Errorf("one does not follow: %v", err)
	}
	d, err := c.Compare(testContext(t), table(3, 42))
	if err != nil || len(d) != 1 || !strings.HasPrefix(d[0].Object, "/estate/disconf/default_1_0_0_0_online/item/abt2.online/10.0.0.2_") || d[0].Should != "42" || d[0].Is != "43" {
		t.Errorf("differences %v, %v", d, err)
	}
	two.Resume()
	apply(t, c, table(3, 42))
	two.Says(online42)
}

// TestModuleItems: a reader that knows no maps reads a module's version as an
// item, where that is asked for, and is waited for like any other.
func TestModuleItems(t *testing.T) { eachSource(t, testModuleItems) }

func testModuleItems(t *testing.T, start func(disconf.Config) (*disconf.Centre, string), cfg disconf.Config) {
	cfg.ModuleItems = true
	c, address := start(cfg)
	apply(t, c, table(1, 42))
	const order = "item/abt2.module.order"
	reader := client(t, address, "10.0.0.1", []string{order}, order+"=order@3")
	apply(t, c, table(2, 43))
	reader.Says(order + "=order@4")
	if d, err := c.Compare(testContext(t), table(2, 43)); err != nil || len(d) > 0 {
		t.Errorf("differences %v, %v", d, err)
	}
	reader.Pause()
	defer reader.Resume()
	soon, cancel := context.WithTimeout(testContext(t), 2*time.Second)
	defer cancel()
	if err := c.Apply(soon, table(3, 42)); abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), " of abt2.module.order (has order@4)") {
		t.Errorf("it does not follow: %v", err)
	}
}

// TestMissedChange: a client that fetched a value before a change, and began to
// watch after it, is told once more.
func TestMissedChange(t *testing.T) { eachSource(t, testMissedChange) }

func testMissedChange(t *testing.T, start func(disconf.Config) (*disconf.Centre, string), cfg disconf.Config) {
	c, address := start(cfg)
	apply(t, c, table(1, 42))
	var once sync.Once
	through := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	through.Transport = transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through.ServeHTTP(w, r)
		if r.URL.Query().Get("key") == "abt2.online" { // on its way to the client
			once.Do(func() { apply(t, c, table(2, 43)) })
		}
	}))
	t.Cleanup(server.Close)
	late := client(t, server.Listener.Addr().String(), "10.0.0.1", []string{online}, online42)
	d, err := c.Compare(testContext(t), table(2, 43))
	if err != nil || len(d) != 1 || d[0].Should != "43" || d[0].Is != "42" {
		t.Errorf("differences %v, %v", d, err)
	}
	apply(t, c, table(2, 43))
	late.Says(online43)
}

// TestAnswersOfTheServer: the five GETs, and what wrong ones get.
func TestAnswersOfTheServer(t *testing.T) {
	e := zktest.Start(t, 1)
	c := open(t, e, "ours")
	address := listen(t, c)
	apply(t, c, table(1, 42))
	const of = "?app=default&env=online&version=1_0_0_0"
	for _, g := range []struct {
		path   string
		status int
		want   string
	}{
		{"/api/config/item" + of + "&key=abt2.online", 200, `{"status":1,"message":"","value":"42"}`},
		{"/api/config/item" + of + "&key=abt2.environment.43", 200, `{"status":1,"message":"","value":"{\"order\":\"order@4\",\"web\":\"web@1\"}"}`},
		{"/api/config/file" + of + "&key=abt2.properties", 200, "environment=42\nmodule.order=order@3\nmodule.web=web@1\n"},
		{"/api/zoo/hosts", 200, `{"status":1,"message":"","value":"` + e.Connect() + `"}`},
		{"/api/zoo/prefix", 200, `{"status":1,"message":"","value":"/estate/disconf"}`},
		{"/api/config/item" + of, 200, `{"status":0,"message":"key is empty","value":""}`},
		{"/api/config/item?env=online&version=1_0_0_0&key=abt2.online", 200, `{"status":0,"message":"app is empty","value":""}`},
		{"/api/config/item?app=other&env=online&version=1_0_0_0&key=abt2.online", 200, `"message":"app other does not exist; products are apps"`},
		{"/api/config/item?app=default&env=rd&version=1_0_0_0&key=abt2.online", 200, `"message":"env rd does not exist; there is online"`},
		{"/api/config/item?app=default&env=online&version=2&key=abt2.online", 200, `"message":"version 2 does not exist; there is 1_0_0_0"`},
		{"/api/config/item" + of + "&key=abt2.environment.41", 200, `"status":0`},
		{"/api/config/file" + of + "&key=../../etc/passwd", 404, "does not exist"},
		{"/api/config/list?app=default", 200, `"success":"false"`},
		{"/api/web/config/item/1", 404, ""},
	} {
		res, body := get(t, "http://"+address+g.path)
		if res.StatusCode != g.status || !strings.Contains(body, g.want) {
			t.Errorf("%s: %d %s, want %d %s", g.path, res.StatusCode, body, g.status, g.want)
		}
	}
	var list struct {
		Success string
		Page    struct {
			TotalCount int
			Result     []struct{ Name, Value string }
		}
	}
	_, body := get(t, "http://"+address+"/api/config/list"+of)
	if err := json.Unmarshal([]byte(body), &list); err != nil || list.Success != "true" || list.Page.TotalCount != 4 || list.Page.Result[3].Name != "abt2.online" {
		t.Errorf("list: %s, %v", body, err)
	}
	res, err := http.Post("http://"+address+"/api/config/item"+of+"&key=abt2.online", "text/plain", strings.NewReader("43"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST is answered %s", res.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// TestForeignNodes: what somebody else has put below the prefix is named and
// left alone; what was edited by hand is written again.
func TestForeignNodes(t *testing.T) {
	e := zktest.Start(t, 1)
	c := open(t, e, "ours")
	apply(t, c, table(1, 42))
	conn, closeConn, err := zookeeper.Connect(zookeeper.Config{Addresses: e.Addresses(), SessionTimeout: patience}, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn()
	const folder = "/estate/disconf/default_1_0_0_0_online/item/"
	big := strings.Repeat("x", 1<<20-1<<10)
	for path, data := range map[string]string{
		folder + "stranger":              big,
		folder + "abt2.online/left-over": "41",
	} {
		if _, err := conn.Create(path, []byte(data), 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Set(folder+"abt2.environment.43", []byte("by hand"), -1); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		folder + "stranger":              "a value that abt2 does not publish",
		folder + "abt2.online/left-over": "a persistent one: 41",
		folder + "abt2.environment.43":   "by hand",
	}
	check := func() {
		t.Helper()
		got, err := c.Compare(testContext(t), table(1, 42))
		if err != nil || len(got) != len(want) {
			t.Errorf("differences %v, %v", got, err)
		}
		for _, d := range got {
			if want[d.Object] != d.Is {
				t.Errorf("%s is %q, want %q", d.Object, d.Is, want[d.Object])
			}
		}
	}
	check()
	apply(t, c, table(2, 42))
	delete(want, folder+"abt2.environment.43")
	check()
	if data, _, err := conn.Get(folder + "stranger"); err != nil || len(data) != len(big) {
		t.Errorf("the stranger has %d bytes, %v", len(data), err)
	}
	if err := c.Apply(testContext(t), table(1, 43)); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("an older table: %v", err)
	}
}

// TestOnePrefixOneInstallation: the prefix of another installation is refused.
func TestOnePrefixOneInstallation(t *testing.T) {
	e := zktest.Start(t, 1)
	apply(t, open(t, e, "ours"), table(1, 42))
	err := open(t, e, "theirs").Apply(testContext(t), table(1, 43))
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), `"ours"`) || !strings.Contains(err.Error(), "--disconf-prefix") {
		t.Error(err)
	}
}

// TestZooKeeperAway: without ZooKeeper Apply fails, and succeeds once it is back;
// clients can still fetch.
func TestZooKeeperAway(t *testing.T) {
	e := zktest.Start(t, 1)
	c := open(t, e, "ours")
	address := listen(t, c)
	apply(t, c, table(1, 42))
	e.KillAll()
	short, cancel := context.WithTimeout(testContext(t), patience)
	defer cancel()
	if err := c.Apply(short, table(2, 43)); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("without ZooKeeper: %v", err)
	}
	if _, body := get(t, "http://"+address+"/api/config/item?app=default&env=online&version=1_0_0_0&key=abt2.online"); !strings.Contains(body, `"status":1`) {
		t.Errorf("without ZooKeeper: %s", body)
	}
	http.DefaultClient.CloseIdleConnections()
	e.RestartAll()
	for {
		err := c.Apply(testContext(t), table(2, 43))
		if err == nil {
			break
		}
		if abt2.CodeOf(err) != abt2.CodeUnavailable {
			t.Fatal(err)
		}
	}
	if d, err := c.Compare(testContext(t), table(2, 43)); err != nil || len(d) > 0 {
		t.Errorf("differences %v, %v", d, err)
	}
}
