package builtin_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
)

// edges answers for edges that serve what the test says. After each answer
// then is called.
type edges struct {
	mu    sync.Mutex
	serve map[string]abt2.EdgeRoutes
	then  func()
}

func (e *edges) Apply(context.Context, string, abt2.EdgeRoutes) error {
	return errors.New("a registry applies nothing")
}

func (e *edges) Abilities(string) []abt2.Ability { return nil }

func (e *edges) Read(ctx context.Context, id string) (abt2.EdgeRoutes, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.serve[id]
	if e.then != nil {
		e.then()
	}
	if !ok {
		<-ctx.Done()
		return r, context.Cause(ctx)
	}
	return r, ctx.Err()
}

func serving(revision uint64, names ...abt2.Name) abt2.EdgeRoutes {
	return abt2.EdgeRoutes{Table: abt2.Table{Mark: abt2.Mark{Epoch: "e", Revision: revision}, Names: names}}
}

var (
	order = abt2.Name{Module: "order", Product: "default", Address: "127.0.0.1:7301"}
	stock = abt2.Name{Module: "stock", Product: "default", Address: "127.0.0.1:7302"}
)

func TestRegistryApply(t *testing.T) {
	want := abt2.Names{Mark: abt2.Mark{Epoch: "e", Revision: 5}, Names: []abt2.Name{order, stock}}
	for _, c := range []struct {
		what string
		a, b abt2.EdgeRoutes // what edges a and b serve at first; then both want
		late bool            // they never serve want
		code abt2.Code
		text string
	}{
		{"there already", serving(5, order, stock), serving(5, stock, order), true, "", ""},
		{"there, and newer", serving(6, order, stock), serving(5, order, stock), true, "", ""},
		{"not yet", serving(4), serving(5, order), false, "", ""},
		{"another epoch", abt2.EdgeRoutes{}, serving(5, order, stock), false, "", ""},
		{"revision that does not come", serving(5, order, stock), serving(4, order, stock), true, abt2.CodeUnconfirmed, "b serves revision 4"},
		{"address in use", serving(5, order), serving(5, order, stock), true, abt2.CodeUnconfirmed, "127.0.0.1:7302 (stock)"},
		{"name that stays", serving(5, order, stock, abt2.Name{Module: "old", Address: "127.0.0.1:1"}), serving(5), true, abt2.CodeUnconfirmed, "still listens on 127.0.0.1:1 (old)"},
		{"newer names", serving(6, order, stock, abt2.Name{Module: "new", Address: "127.0.0.1:1"}), serving(5), true, abt2.CodeRefused, "127.0.0.1:1 (new)"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		e := &edges{serve: map[string]abt2.EdgeRoutes{"a": c.a, "b": c.b}}
		looks := 0
		e.then = func() {
			if looks++; looks < 3 {
				return
			}
			if c.late {
				cancel() // nothing has changed for long enough
				return
			}
			e.serve["a"], e.serve["b"] = serving(5, order, stock), serving(5, order, stock)
		}
		err := builtin.NewRegistry(e, []string{"a", "b"}).Apply(ctx, want)
		if abt2.CodeOf(err) != c.code || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: code %q, error %v; want %q, %q", c.what, abt2.CodeOf(err), err, c.code, c.text)
		}
		cancel()
	}
}

func TestRegistryRead(t *testing.T) {
	e := &edges{serve: map[string]abt2.EdgeRoutes{"a": serving(6, order, stock), "b": serving(5, order)}}
	got, err := builtin.NewRegistry(e, []string{"a", "b"}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(abt2.Names{Mark: abt2.Mark{Epoch: "e", Revision: 5}, Names: []abt2.Name{order}}, got); diff != "" {
		t.Errorf("names that every edge listens on (-want +got):\n%s", diff)
	}
}
