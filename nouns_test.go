package abt2_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
)

func TestNames(t *testing.T) {
	for name, ok := range map[abt2.ModuleName]bool{
		"a": true, "order": true, "order-2": true, "a-": true, abt2.ModuleName(strings.Repeat("a", 40)): true,
		"": false, "all": false, "Order": false, "2order": false, "-a": false, "or_der": false, "order@2": false, "order\n": false,
		abt2.ModuleName(strings.Repeat("a", 41)): false,
	} {
		if err := name.Validate(); (err == nil) != ok {
			t.Errorf("module %q: %v", name, err)
		}
		if err := abt2.ProductName(name).Validate(); (err == nil) != ok {
			t.Errorf("product %q: %v", name, err)
		}
	}
	if got := abt2.ModuleName("order-v2").EnvName(); got != "ORDER_V2" {
		t.Errorf("got %s", got)
	}
}

func TestParseVersionID(t *testing.T) {
	for s, want := range map[string]abt2.VersionID{
		"order@3":                    {Module: "order", Number: 3},
		"a@18446744073709551615":     {Module: "a", Number: 1<<64 - 1},
		"order":                      {},
		"order@":                     {},
		"order@0":                    {},
		"order@03":                   {},
		"order@+3":                   {},
		"order@-3":                   {},
		"order@3@4":                  {},
		"@3":                         {},
		"all@3":                      {},
		"Order@3":                    {},
		"order@18446744073709551616": {},
		"":                           {},
	} {
		got, err := abt2.ParseVersionID(s)
		if got != want || (err == nil) == want.IsZero() {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
		if err != nil && abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%q: code %s", s, abt2.CodeOf(err))
		}
	}
	var v abt2.VersionID
	must(t, v.UnmarshalText(nil))
	if v.String() != "" {
		t.Errorf("none is written %q", v)
	}
}

func FuzzParseVersionID(f *testing.F) {
	for _, s := range []string{"order@3", "a@18446744073709551615", "order@03", "@", "all@1", "a@\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := abt2.ParseVersionID(s)
		if err == nil && v.String() != s {
			t.Errorf("%q was read as %q", s, v)
		}
		if err != nil && !v.IsZero() {
			t.Errorf("%q: %v and yet %v", s, err, v)
		}
	})
}

func TestDiff(t *testing.T) {
	v := func(m abt2.ModuleName, n uint64) abt2.VersionID { return abt2.VersionID{Module: m, Number: n} }
	env := func(vs ...abt2.VersionID) *abt2.Environment {
		e := &abt2.Environment{Modules: map[abt2.ModuleName]abt2.VersionID{}}
		for _, v := range vs {
			e.Modules[v.Module] = v
		}
		return e
	}
	a, b := env(v("web", 1), v("order", 3), v("stock", 9)), env(v("web", 2), v("order", 3), v("api", 1))
	want := []abt2.Change{{Module: "api", To: v("api", 1)}, {Module: "stock", From: v("stock", 9)}, {Module: "web", From: v("web", 1), To: v("web", 2)}}
	if d := cmp.Diff(want, abt2.Diff(a, b)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if d := abt2.Diff(a, a); d != nil {
		t.Errorf("differs from itself: %v", d)
	}
	if !a.Names(v("order", 3)) || a.Names(v("order", 2)) || (*abt2.Environment)(nil).Names(v("order", 3)) {
		t.Error("an environment names the wrong versions")
	}
}

func TestMarkCovers(t *testing.T) {
	for _, c := range []struct {
		have, want abt2.Mark
		covers     bool
	}{
		{abt2.Mark{Epoch: "a", Revision: 7}, abt2.Mark{Epoch: "a", Revision: 7}, true},
		{abt2.Mark{Epoch: "a", Revision: 8}, abt2.Mark{Epoch: "a", Revision: 7}, true},
		{abt2.Mark{Epoch: "a", Revision: 6}, abt2.Mark{Epoch: "a", Revision: 7}, false},
		{abt2.Mark{Epoch: "b", Revision: 8}, abt2.Mark{Epoch: "a", Revision: 7}, false},
		{abt2.Mark{}, abt2.Mark{Epoch: "a", Revision: 1}, false},
	} {
		if got := c.have.Covers(c.want); got != c.covers {
			t.Errorf("%v covers %v: %v", c.have, c.want, got)
		}
	}
}

func TestTokenDigest(t *testing.T) {
	// printf abc | sha256sum | cut -c1-32
	if got := abt2.Token("abc").Digest(); got != "ba7816bf8f01cfea414140de5dae2223" {
		t.Errorf("got %s", got)
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("while asked: %w", abt2.Wrap(abt2.CodeUnavailable, io.EOF, "no server"))
	if abt2.CodeOf(err) != abt2.CodeUnavailable || !errors.Is(err, io.EOF) || err.Error() != "while asked: no server: EOF" {
		t.Errorf("got %s, %v", abt2.CodeOf(err), err)
	}
	if abt2.CodeOf(nil) != "" || abt2.CodeOf(io.EOF) != abt2.CodeInternal {
		t.Error("an error of no kind of ours must be internal")
	}
}
