package drivertest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"abt2.dev"
)

const upgrades = 10

// edgeUpgrades replaces the gateway's process again and again under load, with a
// flip after each: nothing fails, what was open goes on, and a connection that
// the old process had obeys the flip.
func edgeUpgrades(t *testing.T, g *gateway) {
	if g.Upgrade == nil {
		t.Skip("the fixture cannot upgrade this gateway")
	}
	g.flip(t, 1)
	web1 := g.modules[mustVersion("web@1")]

	upload, rest := io.Pipe()
	uploaded := make(chan answer, 1)
	go func() {
		a, err := g.tryBody(t.Context(), "/?do=wait", upload, nil)
		if err != nil {
			t.Error("upload across upgrades:", err)
		}
		uploaded <- a
	}()
	if _, err := io.WriteString(rest, "first "); err != nil {
		t.Fatal(err)
	}
	await(t, web1.arrived)
	stream, _, err := websocket.Dial(t.Context(), "ws://"+g.Address+"/?do=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.CloseNow() }()
	talk(t, stream, "before")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.Address+"/?do=events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := bufio.NewReader(res.Body)
	if line, err := events.ReadString('\n'); err != nil || line != "data: web@1\n" {
		t.Fatalf("event %q, error %v", line, err)
	}

	end := g.load(t)
	for i := range upgrades {
		kept, err := net.Dial("tcp", g.Address) // as a browser connects ahead
		if err != nil {
			t.Fatal(err)
		}
		g.Upgrade(t)
		to := abt2.EnvironmentID((i+1)%2 + 1)
		g.flip(t, to)
		if got := g.get(t, "/", nil).seen.env(); got != to.String() {
			t.Errorf("upgrade %d: environment %q after the flip was confirmed, want %s", i, got, to)
		}
		if got := g.ask(t, kept); got != to.String() {
			t.Errorf("upgrade %d: environment %q on a connection from before, want %s", i, got, to)
		}
	}
	if n := end(); n == 0 {
		t.Error("no request was sent meanwhile")
	}

	web1.release <- struct{}{}
	for _, want := range []string{"\n", "data: web@1\n"} {
		if line, err := events.ReadString('\n'); err != nil || line != want {
			t.Errorf("event after the upgrades: %q, error %v; want %q", line, err, want)
		}
	}
	if s := talk(t, stream, "after"); s.Version != "web@1" {
		t.Errorf("WebSocket after the upgrades: %s, want web@1", s.Version)
	}
	if _, err := io.WriteString(rest, "second"); err != nil {
		t.Fatal(err)
	}
	rest.Close()
	if a := <-uploaded; a.seen.env() != "1" || a.seen.Body != "first second" {
		t.Errorf("upload across upgrades: environment %q, body %q; want 1, whole", a.seen.env(), a.seen.Body)
	}
}

// ask sends one request on a connection and returns the environment it got.
func (g *gateway) ask(t *testing.T, c net.Conn) string {
	t.Helper()
	defer c.Close()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.Address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		t.Fatal(err)
	}
	a, err := read(res)
	if err != nil {
		t.Fatal(err)
	}
	return a.seen.env()
}
