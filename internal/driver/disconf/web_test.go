package disconf_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/disconf"
	"abt2.dev/lane/disconf/disconftest"
	"abt2.dev/lane/zookeeper/zktest"
)

const webPassword = "hunter2-hunter2"

// startWeb runs a disconf-web that has an app for the product, with a value of
// somebody else's, and returns what a Centre is opened with.
func startWeb(t *testing.T, e *zktest.Ensemble, notifies string) (*disconftest.Web, disconf.Config) {
	t.Helper()
	cfg := config(e, "ours")
	w := disconftest.StartWeb(t, disconftest.WebSettings{
		ZooKeeper: notifies, Tell: e.Connect(), Prefix: cfg.Prefix,
		App: "default", Version: cfg.Version, Env: cfg.Env, User: "abt2", Password: webPassword,
	}, "item/theirs")
	cfg.Web = disconf.Web{URL: "http://" + w.Address + "/", User: "abt2", Password: webPassword}
	return w, cfg
}

// TestDriftInDisconfWeb: what was changed or is left over in disconf-web is named,
// and set right by the next Apply; other values there are nobody's business.
func TestDriftInDisconfWeb(t *testing.T) {
	e := zktest.Start(t, 1)
	w, cfg := startWeb(t, e, e.Connect())
	c := openWith(t, cfg)
	apply(t, c, table(1, 42))
	one := client(t, w.Address, "10.0.0.1", []string{online}, online42)
	if said := w.Change("item/abt2.environment.43", "by hand"); said != "ok" {
		t.Fatal(said)
	}
	w.Change("item/theirs", "other")
	without := table(2, 43)
	without.Environments = without.Environments[1:]
	want := map[string]string{
		"disconf-web /estate/disconf/default_1_0_0_0_online/item/abt2.environment.42": "a value that abt2 does not publish",
		"disconf-web /estate/disconf/default_1_0_0_0_online/item/abt2.environment.43": "by hand",
		"disconf-web /estate/disconf/default_1_0_0_0_online/item/abt2.online":         "42",
		"disconf-web /estate/disconf/default_1_0_0_0_online/file/abt2.properties":     "environment=42 module.order=order@3 module.web=web@1",
	}
	got, err := c.Compare(testContext(t), without)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got {
		if is, ok := want[d.Object]; ok && is == d.Is && d.Remedy == "abt2 refresh" {
			delete(want, d.Object)
		} else if !strings.HasPrefix(d.Object, "/estate/disconf/default_1_0_0_0_online/item/abt2.online/10.0.0.1_") {
			t.Errorf("%+v", d)
		}
	}
	if len(want) > 0 {
		t.Errorf("not named: %v, of %v", want, got)
	}
	w.SignOut()
	apply(t, c, without)
	one.Says(online43)
	if d, err := c.Compare(testContext(t), without); err != nil || len(d) > 0 {
		t.Errorf("differences %v, %v", d, err)
	}
	if _, body := get(t, "http://"+w.Address+"/api/config/item?app=default&env=online&version=1_0_0_0&key=theirs"); !strings.Contains(body, `"value":"other"`) {
		t.Errorf("another's value is %s", body)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestDisconfWebThatCannotNotify: it keeps a change and fails to notify; clients
// have it in effect all the same when Apply returns. What it sees of them is named.
func TestDisconfWebThatCannotNotify(t *testing.T) {
	e := zktest.Start(t, 1)
	w, cfg := startWeb(t, e, "127.0.0.1:1")
	c := openWith(t, cfg)
	apply(t, c, table(1, 42))
	one := client(t, w.Address, "10.0.0.1", []string{online}, online42)
	apply(t, c, table(2, 43))
	one.Says(online43)
	if _, err := c.Compare(testContext(t), table(2, 43)); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "/api/web/config/zk/") {
		t.Errorf("it cannot see its clients: %v", err)
	}
}

// TestDisconfWebElsewhere: a disconf-web with another ensemble is named by whom it sees.
func TestDisconfWebElsewhere(t *testing.T) {
	e := zktest.Start(t, 1)
	w, cfg := startWeb(t, e, zktest.Start(t, 1).Connect())
	c := openWith(t, cfg)
	apply(t, c, table(1, 42))
	client(t, w.Address, "10.0.0.1", []string{online}, online42)
	d, err := c.Compare(testContext(t), table(1, 42))
	if err != nil || len(d) != 1 || !strings.HasSuffix(d[0].Object, online) || d[0].Is != "seen there: nobody" || !strings.Contains(d[0].Remedy, "--zookeeper") {
		t.Errorf("differences %+v, %v", d, err)
	}
}

// TestDisconfWebRefused: what is wrong is named before anything is changed.
func TestDisconfWebRefused(t *testing.T) {
	e := zktest.Start(t, 1)
	w, cfg := startWeb(t, e, e.Connect())
	nonsense := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer nonsense.Close()
	moved := httptest.NewServer(http.RedirectHandler("http://"+w.Address, http.StatusFound))
	defer moved.Close()
	other := config(e, "theirs")
	other.Web = cfg.Web
	for name, wrong := range map[string]struct {
		cfg  func() disconf.Config
		code abt2.Code
		says []string
	}{
		"password": {func() disconf.Config { c := cfg; c.Web.Password = "guess-guess"; return c }, abt2.CodeUnauthorized, []string{`user "abt2"`}},
		"env":      {func() disconf.Config { c := cfg; c.Env = "gone"; return c }, abt2.CodeRefused, []string{`no env "gone"`, "rd, online", "--disconf-env"}},
		"prefix":   {func() disconf.Config { c := cfg; c.Prefix = "/disconf"; return c }, abt2.CodeRefused, []string{"--disconf-prefix=/estate/disconf"}},
		"down":     {func() disconf.Config { c := cfg; c.Web.URL = "http://127.0.0.1:1"; return c }, abt2.CodeUnavailable, []string{"http://127.0.0.1:1"}},
		"nonsense": {func() disconf.Config { c := cfg; c.Web.URL = nonsense.URL; return c }, abt2.CodeFailed, []string{"not a disconf-web's", "<html>"}},
		"moved":    {func() disconf.Config { c := cfg; c.Web.URL = moved.URL; return c }, abt2.CodeUnavailable, []string{"302"}},
	} {
		err := openWith(t, wrong.cfg()).Apply(testContext(t), table(1, 42))
		if abt2.CodeOf(err) != wrong.code {
			t.Errorf("%s: %v", name, err)
		}
		for _, words := range wrong.says {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %q is not in: %v", name, words, err)
			}
		}
		if strings.Contains(err.Error(), "guess") || strings.Contains(err.Error(), webPassword) {
			t.Errorf("%s: tells the password: %v", name, err)
		}
	}
	absent := table(1, 42)
	absent.Products[0].Name = "shop"
	if err := openWith(t, cfg).Apply(testContext(t), absent); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), `no app "shop"`) || !strings.Contains(err.Error(), "elsewhere, default") {
		t.Errorf("an app that is not there: %v", err)
	}
	apply(t, openWith(t, cfg), table(1, 42))
	if err := openWith(t, other).Apply(testContext(t), table(1, 43)); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), `"ours"`) {
		t.Errorf("another installation's app: %v", err)
	}
	for _, bad := range []disconf.Web{{URL: "10.0.0.8:8080", User: "u", Password: "p"}, {URL: "http://u:secret@10.0.0.8", User: "u", Password: "p"}, {URL: "http://10.0.0.8", User: "u"}} {
		c := cfg
		c.Web = bad
		if _, err := disconf.Open(c); abt2.CodeOf(err) != abt2.CodeInvalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
