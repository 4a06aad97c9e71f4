package disconf_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev/lane/disconf"
	"abt2.dev/lane/disconf/disconftest"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

const (
	prefix = "/estate/disconf"
	folder = prefix + "/shop_1_0_online/"
)

// world is a disconf-web, a ZooKeeper, and a network between that and a client.
type world struct {
	t        testing.TB
	ensemble *zktest.Ensemble
	link     *zktest.Link
	web      *disconftest.Web
	conn     *zk.Conn // somebody else's look
}

func newWorld(t testing.TB, servers int) *world {
	w := &world{t: t, ensemble: zktest.Start(t, servers)}
	w.link = w.ensemble.Link(t)
	w.web = disconftest.StartWeb(t, disconftest.WebSettings{
		ZooKeeper: w.ensemble.Connect(), Tell: w.link.Connect(), Prefix: prefix,
		App: "shop", Version: "1_0", Env: "online", User: "admin", Password: "secret",
	}, "item/online", "file/shop.properties")
	conn, closeConn, err := zookeeper.Connect(zookeeper.Config{Addresses: w.ensemble.Addresses(), SessionTimeout: patience}, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)
	w.conn = conn
	return w
}

func (w *world) open() *disconf.Client {
	w.t.Helper()
	c, err := disconf.Open(testContext(w.t), disconf.Config{
		Server: w.web.Address, App: "shop", Version: "1_0", Env: "online", Name: "go_1", SessionTimeout: zktest.SessionTimeout, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) change(key, value string) {
	w.t.Helper()
	if said := w.web.Change(key, value); said != "ok" {
		w.t.Fatalf("disconf-web says %s", said)
	}
}

// reports waits until the value is what the client reports, in a session that lives.
func (w *world) reports(key, want string) {
	w.t.Helper()
	ctx := testContext(w.t)
	for ctx.Err() == nil {
		data, _, changed, err := w.conn.GetW(folder + key + "/go_1")
		if errors.Is(err, zk.ErrNoNode) {
			var there bool
			if there, _, changed, err = w.conn.ExistsW(folder + key + "/go_1"); there {
				continue
			}
		}
		switch {
		case err != nil:
			continue // the client of ZooKeeper has taken its time
		case string(data) == want:
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	w.t.Fatalf("the client does not report %q of %s", want, key)
}

// becomes waits until a value is in effect.
func becomes(t testing.TB, v *disconf.Value, want string) {
	t.Helper()
	ctx := testContext(t)
	for {
		text, changed := v.Changed()
		if text == want {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the value is %q, want %q: %v", text, want, v.Err())
		}
	}
}

// settles waits until a value's error is as wanted.
func settles(t testing.TB, v *disconf.Value, wrong bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); (v.Err() != nil) != wrong; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("the value's error is %v", v.Err())
		}
	}
}

// TestValuesFollow: what an operator changes is in effect, and reported.
func TestValuesFollow(t *testing.T) {
	w := newWorld(t, 1)
	w.change("item/online", "42")
	w.change("file/shop.properties", "a=1\nb=2\n")
	c := w.open()
	ctx := testContext(t)
	item, err := c.Item(ctx, "online", nil)
	if err != nil || item.Get() != "42" {
		t.Fatalf("item: %v", err)
	}
	file, err := c.File(ctx, "shop.properties", nil)
	if err != nil || file.Get() != "a=1\nb=2\n" {
		t.Fatalf("file: %v", err)
	}
	w.reports("item/online", "42")
	for _, value := range []string{"43", "44", "45"} { // each watch is set anew
		w.change("item/online", value)
		becomes(t, item, value)
		w.reports("item/online", value)
	}
	w.change("file/shop.properties", "a=2\n")
	becomes(t, file, "a=2\n")
	w.reports("file/shop.properties", "a=2\n")
	if item.Err() != nil || file.Err() != nil {
		t.Errorf("errors %v, %v", item.Err(), file.Err())
	}
	if err := w.conn.Delete(folder+"item/online/go_1", -1); err != nil {
		t.Fatal(err)
	}
	w.reports("item/online", "45") // deleted by hand, told again
}

// TestNoDefault: a value that cannot be had is an error, never something else.
func TestNoDefault(t *testing.T) {
	w := newWorld(t, 1)
	w.change("item/online", "42")
	c := w.open()
	ctx := testContext(t)
	if _, err := c.Item(ctx, "unknown", nil); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("an unknown item: %v", err)
	}
	if _, err := c.File(ctx, "unknown.xml", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown file: %v", err)
	}
	for _, name := range []string{"", "a/b", "..", "/"} {
		if _, err := c.Item(ctx, name, nil); err == nil || !strings.Contains(err.Error(), "without a slash") {
			t.Errorf("item %q: %v", name, err)
		}
	}
	no := errors.New("no number")
	number := func(s string) error {
		if s == "x" {
			return no
		}
		return nil
	}
	v, err := c.Item(ctx, "online", number)
	if err != nil {
		t.Fatal(err)
	}
	w.change("item/online", "x")
	settles(t, v, true)
	if refused := (*disconf.Refused)(nil); !errors.As(v.Err(), &refused) || refused.Text != "x" || !errors.Is(v.Err(), no) || v.Get() != "42" {
		t.Errorf("a refused value: %q, %v", v.Get(), v.Err())
	}
	w.reports("item/online", "42")
	w.change("item/online", "43")
	becomes(t, v, "43")
	settles(t, v, false)
}

// TestReadAgain: what changes while ZooKeeper is away, for a moment, for longer
// than the session, or with the whole ensemble, is in effect once it is back.
func TestReadAgain(t *testing.T) {
	w := newWorld(t, 3)
	w.change("item/online", "42")
	c := w.open()
	v, err := c.Item(testContext(t), "online", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.link.Cut()
	settles(t, v, true)
	w.change("item/online", "43")
	if v.Get() != "42" {
		t.Errorf("the value is %q without a connection", v.Get())
	}
	w.link.Heal()
	becomes(t, v, "43")
	settles(t, v, false)
	w.reports("item/online", "43")

	w.link.Cut()
	gone, _, changed, err := w.conn.ExistsW(folder + "item/online/go_1")
	if err != nil {
		t.Fatal(err)
	}
	if gone { // until the session has expired
		<-changed
	}
	w.change("item/online", "44")
	w.link.Heal()
	becomes(t, v, "44")
	w.reports("item/online", "44")

	w.ensemble.KillAll()
	settles(t, v, true)
	w.web.Change("item/online", "45") // kept, and nobody notified
	w.ensemble.RestartAll()
	becomes(t, v, "45")
	w.reports("item/online", "45")
	settles(t, v, false)
}

// TestWrongAnswers: what is no answer of disconf's is told as what it is.
func TestWrongAnswers(t *testing.T) {
	for _, tc := range []struct{ name, answer, says string }{
		{"a page", "<html>", "no answer of disconf's"},
		{"another JSON", `{"code":0}`, "no status"},
		{"no value", `{"status":1}`, "no value"},
		{"an error", `{"status":0,"message":"no such\napp"}`, "no such app"},
		{"a relative prefix", `{"status":1,"value":"disconf"}`, "no path in ZooKeeper"},
		{"too long", strings.Repeat(" ", disconf.MaxValue+1), "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tc.answer)) }))
			t.Cleanup(server.Close)
			_, err := disconf.Open(testContext(t), disconf.Config{Server: server.URL, App: "shop", Version: "1", Env: "online"})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %s", err, tc.says)
			}
		})
	}
	for _, config := range []disconf.Config{
		{Server: "127.0.0.1:1", App: "a/b", Version: "1", Env: "online"},
		{Server: "127.0.0.1:1", App: "shop", Version: "1"},
		{Server: "http://127.0.0.1:1/path", App: "shop", Version: "1", Env: "online"},
		{Server: "127.0.0.1:1", App: "shop", Version: "1", Env: "online", Name: "a/b"},
	} {
		if _, err := disconf.Open(testContext(t), config); err == nil || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
