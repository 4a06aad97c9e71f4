package abt2_test

import (
	"strings"
	"testing"

	"abt2.dev"
)

func named(id string, v abt2.VersionID, callable bool) abt2.NamedInstance {
	return abt2.NamedInstance{
		InstanceStatus: abt2.InstanceStatus{ID: abt2.InstanceID(id), Module: v.Module, Version: v, Address: "127.0.0.1:1", State: abt2.InstanceHealthy},
		Callable:       callable,
	}
}

func shopDirectory() *abt2.Directory {
	order3, order4, web := abt2.VersionID{Module: "order", Number: 3}, abt2.VersionID{Module: "order", Number: 4}, abt2.VersionID{Module: "web", Number: 1}
	return &abt2.Directory{
		Products: map[abt2.ProductName]abt2.DirectoryProduct{
			"default": {
				Online: map[abt2.ModuleName]abt2.VersionID{"order": order3, "web": web},
				Groups: map[abt2.GroupName][]abt2.ModuleName{"all-of-it": {"order", "stock", "web"}, "empty": nil},
			},
			"shop": {Online: map[abt2.ModuleName]abt2.VersionID{"order": order4}},
		},
		Versions: map[abt2.ModuleName]uint64{"order": 5, "web": 1, "stock": 1},
		Instances: map[abt2.VersionID][]abt2.NamedInstance{
			order3: {named("order-3-1", order3, true), named("order-3-2", order3, false)},
			order4: {named("order-4-1", order4, true)},
			web:    {named("web-1-1", web, true)},
		},
	}
}

func TestLookup(t *testing.T) {
	d := shopDirectory()
	for _, c := range []struct {
		product abt2.ProductName
		name    string
		number  uint64
		want    string // ids
		code    abt2.Code
	}{
		{"default", "order", 0, "order-3-1 order-3-2", ""},
		{"shop", "order", 0, "order-4-1", ""},
		{"shop", "order", 3, "order-3-1 order-3-2", ""},
		{"default", "order", 5, "", ""}, // exists, does not run
		{"default", "order", 6, "", abt2.CodeNotFound},
		{"default", "stock", 0, "", ""}, // not online
		{"default", "all-of-it", 0, "order-3-1 order-3-2 web-1-1", ""},
		{"default", "empty", 0, "", ""},
		{"shop", "all-of-it", 0, "", abt2.CodeNotFound},
		{"default", "all-of-it", 1, "", abt2.CodeNotFound},
		{"default", "oder", 0, "", abt2.CodeNotFound},
		{"mall", "order", 0, "", abt2.CodeNotFound},
		{"default", "", 0, "", abt2.CodeNotFound},
	} {
		l, err := d.Lookup(c.product, c.name, c.number)
		var ids []string
		for _, i := range l.Instances {
			ids = append(ids, string(i.ID))
		}
		if abt2.CodeOf(err) != c.code || strings.Join(ids, " ") != c.want {
			t.Errorf("%s %s@%d: %v, %v", c.product, c.name, c.number, ids, err)
		}
	}
}

// A digest is of what callers act on.
func TestLookupDigest(t *testing.T) {
	digest := func(change func(*abt2.NamedInstance)) string {
		d := shopDirectory()
		change(&d.Instances[abt2.VersionID{Module: "order", Number: 3}][0])
		l, err := d.Lookup("default", "order", 0)
		must(t, err)
		return l.Digest
	}
	first := digest(func(*abt2.NamedInstance) {})
	seven := 7
	for name, c := range map[string]struct {
		change func(*abt2.NamedInstance)
		same   bool
	}{
		"load":     {func(i *abt2.NamedInstance) { i.Load = &seven }, true},
		"detail":   {func(i *abt2.NamedInstance) { i.Detail = "slow" }, true},
		"address":  {func(i *abt2.NamedInstance) { i.Address = "127.0.0.1:2" }, false},
		"state":    {func(i *abt2.NamedInstance) { i.State = abt2.InstanceUnhealthy }, false},
		"callable": {func(i *abt2.NamedInstance) { i.Callable = false }, false},
		"tags":     {func(i *abt2.NamedInstance) { i.Tags = []abt2.Role{abt2.RoleOnline} }, false},
	} {
		if same := digest(c.change) == first; same != c.same {
			t.Errorf("%s: the same digest: %v", name, same)
		}
	}
}

// What is looked up is the caller's to change.
func TestLookupIsACopy(t *testing.T) {
	d := shopDirectory()
	l, err := d.Lookup("default", "order", 0)
	must(t, err)
	l.Instances[0].Address = "changed"
	if got := d.Instances[abt2.VersionID{Module: "order", Number: 3}][0].Address; got == "changed" {
		t.Error("the directory was changed")
	}
}

func FuzzParseLookup(f *testing.F) {
	for _, s := range []string{"order", "order@4", "order@", "@4", "all", "a/b", "order@04", "Order", "é", "order@18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, number, err := abt2.ParseLookup(s)
		if err != nil {
			if abt2.CodeOf(err) != abt2.CodeInvalid {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if abt2.ModuleName(name).Validate() != nil {
			t.Errorf("%q: took the name %q", s, name)
		}
		whole := name
		if number != 0 {
			whole = abt2.VersionID{Module: abt2.ModuleName(name), Number: number}.String()
		}
		if whole != s {
			t.Errorf("%q was read as %q", s, whole)
		}
		if _, err := shopDirectory().Lookup("default", name, number); err != nil && abt2.CodeOf(err) != abt2.CodeNotFound {
			t.Errorf("%q: %v", s, err)
		}
	})
}
