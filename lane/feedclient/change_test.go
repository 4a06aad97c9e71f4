package feedclient

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

func mark(revision uint64) *feedpb.Mark { return &feedpb.Mark{Epoch: "e", Revision: revision} }

// base is the table of revision 7 that changes are made to.
func base() *feedpb.Table {
	return &feedpb.Table{
		Mark: mark(7), HighestEnvironment: 2,
		Products:     []*feedpb.Product{{Name: "default", Online: 1}},
		Environments: []*feedpb.Environment{{Id: 1, Product: "default", Versions: []string{"order@9"}}},
		Versions:     []*feedpb.Version{{Id: "order@2"}, {Id: "order@9", Kind: "service"}, {Id: "stock@1"}},
		Names:        []*feedpb.Name{{Module: "order", Product: "default", Address: "127.0.0.1:1"}},
	}
}

func TestChangeIsAppliedToItsBase(t *testing.T) {
	c := &feedpb.TableChange{
		From: mark(7), To: mark(9), HighestEnvironment: 3,
		RemovedEnvironments: []uint64{1}, RemovedVersions: []string{"order@2"}, RemovedNames: []string{"order"},
		Products:     []*feedpb.Product{{Name: "another"}, {Name: "default", Online: 3}},
		Environments: []*feedpb.Environment{{Id: 3, Product: "default", Versions: []string{"order@10"}}},
		Versions:     []*feedpb.Version{{Id: "order@10"}},
	}
	want := &feedpb.Table{
		Mark: mark(9), HighestEnvironment: 3,
		Products:     []*feedpb.Product{{Name: "another"}, {Name: "default", Online: 3}},
		Environments: []*feedpb.Environment{{Id: 3, Product: "default", Versions: []string{"order@10"}}},
		Versions:     []*feedpb.Version{{Id: "order@9", Kind: "service"}, {Id: "order@10"}, {Id: "stock@1"}},
	}
	before := base()
	got, err := changedTable(before, c)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if !proto.Equal(before, base()) {
		t.Errorf("the base has changed: %v", before)
	}
}

func TestChangeIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		base *feedpb.Table
		c    *feedpb.TableChange
		want string
	}{
		{"without a base", nil, &feedpb.TableChange{From: mark(7), To: mark(8)}, "cannot be applied"},
		{"of nothing", nil, &feedpb.TableChange{To: mark(8)}, "cannot be applied"},
		{"of an older base", base(), &feedpb.TableChange{From: mark(6), To: mark(8)}, "cannot be applied to revision 7"},
		{"of a newer base", base(), &feedpb.TableChange{From: mark(8), To: mark(9)}, "cannot be applied to revision 7"},
		{"of another epoch", base(), &feedpb.TableChange{From: &feedpb.Mark{Epoch: "f", Revision: 7}, To: mark(8)}, "cannot be applied"},
		{"to another epoch", base(), &feedpb.TableChange{From: mark(7), To: &feedpb.Mark{Epoch: "f", Revision: 8}}, "a higher revision of its epoch"},
		{"to itself", base(), &feedpb.TableChange{From: mark(7), To: mark(7)}, "a higher revision of its epoch"},
		{"to nothing", base(), &feedpb.TableChange{From: mark(7)}, "a higher revision of its epoch"},
		{"that removes what is not there", base(), &feedpb.TableChange{From: mark(7), To: mark(8), RemovedVersions: []string{"order@3"}}, "order@3 is to be removed, and is not there"},
		{"that removes twice", base(), &feedpb.TableChange{From: mark(7), To: mark(8), RemovedEnvironments: []uint64{1, 1}}, "1 is to be removed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := changedTable(tt.base, tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want an error with %q", got, err, tt.want)
			}
		})
	}
}

// TestChangeIsKeptWhole gives a client a whole and a change: the next start has both.
func TestChangeIsKeptWhole(t *testing.T) {
	dir := t.TempDir()
	var got *feedpb.Table
	apply := func(t *feedpb.Table) error { got = t; return nil }
	c, err := New(config(dir, apply))
	if err != nil {
		t.Fatal(err)
	}
	s := &session{Client: c}
	for _, m := range []*feedpb.ServerMessage{
		{Message: &feedpb.ServerMessage_Table{Table: base()}, Number: 1},
		{Message: &feedpb.ServerMessage_TableChange{TableChange: &feedpb.TableChange{From: mark(7), To: mark(8), HighestEnvironment: 5}}, Number: 2},
	} {
		if a := c.deliver(t.Context(), m); a.GetRefused() != "" || a.GetNumber() != m.GetNumber() {
			t.Fatalf("answered %v", a)
		}
		s.keep(s.last)
	}
	applied := got
	next, err := New(config(dir, apply))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := next.Restore(t.Context()); !found || err != nil {
		t.Fatalf("restored %v, %v", found, err)
	}
	if !proto.Equal(got, applied) || got.GetHighestEnvironment() != 5 || len(got.GetVersions()) != 3 {
		t.Errorf("restored %v\nwant %v", got, applied)
	}
}

// TestRefusedWholeIsNoBase keeps to the table that is served.
func TestRefusedWholeIsNoBase(t *testing.T) {
	var refuse error
	c, err := New(config("", func(*feedpb.Table) error { return refuse }))
	if err != nil {
		t.Fatal(err)
	}
	change := func(from, to uint64) *feedpb.ServerMessage {
		return &feedpb.ServerMessage{Message: &feedpb.ServerMessage_TableChange{TableChange: &feedpb.TableChange{From: mark(from), To: mark(to)}}}
	}
	if a := c.deliver(t.Context(), &feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: base()}}); a.GetRefused() != "" {
		t.Fatal(a)
	}
	refuse = errors.New("contradicts itself")
	if a := c.deliver(t.Context(), change(7, 8)); a.GetRefused() == "" || a.GetMark().GetRevision() != 7 {
		t.Fatalf("answered %v", a)
	}
	refuse = nil
	if a := c.deliver(t.Context(), change(8, 9)); !strings.Contains(a.GetRefused(), "cannot be applied to revision 7") {
		t.Errorf("answered %v", a)
	}
	if a := c.deliver(t.Context(), change(7, 9)); a.GetRefused() != "" || a.GetMark().GetRevision() != 9 {
		t.Errorf("answered %v", a)
	}
}

// FuzzDeliver gives a client any message after a table: it is applied as a
// whole, refused, or of no concern, and what is refused changes nothing.
func FuzzDeliver(f *testing.F) {
	for _, m := range []*feedpb.ServerMessage{
		{Message: &feedpb.ServerMessage_Table{Table: base()}, Number: 1},
		{Message: &feedpb.ServerMessage_TableChange{TableChange: &feedpb.TableChange{From: mark(7), To: mark(8), RemovedVersions: []string{"order@2"}, Versions: []*feedpb.Version{{Id: "order@10"}}}}},
		{Message: &feedpb.ServerMessage_TableChange{TableChange: &feedpb.TableChange{From: mark(6), To: mark(8)}}},
		{Message: &feedpb.ServerMessage_RoutesChange{RoutesChange: &feedpb.RoutesChange{Table: &feedpb.TableChange{From: mark(7), To: mark(8)}, RemovedTokens: []string{"d"}}}},
		{Message: &feedpb.ServerMessage_Routes{Routes: &feedpb.EdgeRoutes{Table: base(), Tokens: map[string]uint64{"d": 1}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		for n := range len(b) + 1 {
			f.Add(b[:n])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &feedpb.ServerMessage{}
		if proto.Unmarshal(b, m) != nil {
			return // the stream ends
		}
		var got *feedpb.Table
		c, err := New(config("", func(t *feedpb.Table) error { got = t; return nil }))
		if err != nil {
			t.Fatal(err)
		}
		c.deliver(context.Background(), &feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: base()}})
		got = nil
		a := c.deliver(context.Background(), m)
		switch {
		case (got != nil) != (a != nil && a.GetRefused() == ""):
			t.Fatalf("applied %v, answered %v", got, a)
		case got == nil && (!proto.Equal(c.last.GetTable(), base()) || !proto.Equal(c.applied.Load(), mark(7))):
			t.Fatalf("not applied, and yet the client has %v", c.last)
		case m.GetTableChange() != nil && got != nil && !slices.IsSortedFunc(got.GetVersions(), func(a, b *feedpb.Version) int { return compareVersions(a.GetId(), b.GetId()) }):
			t.Fatalf("versions are not sorted: %v", got)
		}
	})
}
