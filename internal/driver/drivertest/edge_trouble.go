package drivertest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
)

// edgeFlipsConnectionsOfBefore: a gateway that starts anew to learn of a version
// has connections that the process before accepted: one that was only opened, as
// browsers do, one with half a header, one that was kept. After the flip they
// obey it like any other.
func edgeFlipsConnectionsOfBefore(t *testing.T, g *gateway) {
	without := func(tb *abt2.Table) { // web@2 is not known yet
		tb.Products[0].Preview = 0
		tb.Environments = append(tb.Environments[:1:1], tb.Environments[2:]...)
		tb.Versions = append(tb.Versions[:4:4], tb.Versions[5:]...)
	}
	g.apply(t, without, nil)
	open := func(sent string) *early {
		c, err := net.Dial("tcp", g.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		e := &early{c, bufio.NewReader(c)}
		e.send(t, sent)
		return e
	}
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	kept := open(request)
	if s := kept.answer(t); s.env() != "1" {
		t.Fatalf("before: environment %q, want 1", s.env())
	}
	opened, half := open(""), open(request[:20])
	// All are accepted, in order, once one that came after them is answered.
	if res := g.get(t, "/", nil); res.seen.env() != "1" {
		t.Fatalf("before: environment %q, want 1", res.seen.env())
	}
	g.apply(t, nil, nil) // web@2 and its environment
	g.flip(t, 2)
	half.send(t, request[20:])
	opened.send(t, request)
	kept.send(t, request)
	for what, e := range map[string]*early{"only opened": opened, "half a header": half, "kept": kept} {
		if s := e.answer(t); s.env() != "2" || s.Version != "web@2" {
			t.Errorf("a connection of before, %s: %q in environment %q, want web@2 in 2", what, s.Version, s.env())
		}
	}
}

// early is a connection whose bytes are sent one part at a time.
type early struct {
	net.Conn
	in *bufio.Reader
}

func (e *early) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(e.Conn, text); err != nil {
		t.Fatal(err)
	}
}

func (e *early) answer(t *testing.T) (s seen) {
	t.Helper()
	res, err := http.ReadResponse(e.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatalf("status %d: %v", res.StatusCode, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return s
}

// edgeKeepsServing: what was refused has changed nothing.
func edgeKeepsServing(t *testing.T, g *gateway) {
	want := g.routes(nil)
	if err := g.Edge.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	wrong := g.routes(func(tb *abt2.Table) { tb.Products[0].Online = 2 })
	wrong.Tokens[tokenPreview.Digest()] = 99 // an environment that the table lacks
	if err := g.Edge.Apply(t.Context(), wrong); err == nil {
		t.Error("routes with a token that leads nowhere were taken")
	}
	got, err := g.Edge.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("routes after refusing others (-before +after):\n%s", diff)
	}
	if res := g.get(t, "/", nil); res.seen.env() != "1" {
		t.Errorf("after refusing: environment %q, want 1", res.seen.env())
	}
}

// edgeMendsDrift: Read shows what is served, not what was written, and the same
// Apply again puts it right.
func edgeMendsDrift(t *testing.T, g *gateway) {
	if g.Drift == nil {
		t.Skip("the fixture cannot reach behind the driver")
	}
	want := g.routes(nil)
	if err := g.Edge.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	g.Drift(t)
	if res := g.get(t, "/", nil); res.seen.env() != "2" {
		t.Fatalf("after drift: environment %q, want 2", res.seen.env())
	}
	got, err := g.Edge.Read(t.Context())
	if err != nil || len(got.Table.Products) == 0 || got.Table.Products[0].Online != 2 {
		t.Errorf("after drift Read shows %+v, error %v; want environment 2 online", got.Table.Products, err)
	}
	if err := g.Edge.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err = g.Edge.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("routes after mending (-applied +read):\n%s", diff)
	}
	if res := g.get(t, "/", nil); res.seen.env() != "1" {
		t.Errorf("after mending: environment %q, want 1", res.seen.env())
	}
}
