package route_test

import (
	"slices"
	"testing"

	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// orders has two versions of order, one of them in no environment, and stock.
func orders(t *testing.T) *route.Snapshot {
	t.Helper()
	r := route.New()
	if err := r.Apply(&feedpb.Table{
		Mark: &feedpb.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: 1,
		Products:     []*feedpb.Product{{Name: "default", Online: 1}},
		Environments: []*feedpb.Environment{{Id: 1, Product: "default", Versions: []string{"order@1", "stock@1"}}},
		Versions: []*feedpb.Version{
			{Id: "order@1", Instances: []*feedpb.Instance{{Id: "a", Address: "h:1"}, {Id: "b", Address: "h:2"}, {Id: "c", Address: "h:3"}}},
			{Id: "order@2", Instances: []*feedpb.Instance{{Id: "d", Address: "h:4"}}},
			{Id: "stock@1", Instances: []*feedpb.Instance{{Id: "e", Address: "h:5"}}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	return r.Snapshot()
}

func TestInstancesOfAllVersions(t *testing.T) {
	s := orders(t)
	for module, want := range map[string][]string{"order": {"a", "b", "c", "d"}, "stock": {"e"}, "web": nil} {
		var got []string
		for _, in := range s.Instances(module) {
			got = append(got, in.ID)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", module, got, want)
		}
	}
}

// TestPickOfUsable never gets what is refused, and the least busy of the others.
func TestPickOfUsable(t *testing.T) {
	v, err := orders(t).Resolve(1, "order")
	if err != nil {
		t.Fatal(err)
	}
	if pick, ok := v.Pick(func(*route.Instance) bool { return false }); ok {
		t.Errorf("picked %s though none is usable", pick.ID)
	}
	usable := func(in *route.Instance) bool { return in.ID != "a" }
	for range 100 {
		pick, ok := v.Pick(usable)
		if !ok || pick.ID == "a" {
			t.Fatalf("picked %v, %v", pick, ok)
		}
	}
	for _, in := range v.Instances {
		if n := in.InFlight(); in.ID == "a" && n != 0 || in.ID != "a" && (n < 40 || n > 60) {
			t.Errorf("%s: %d in flight", in.ID, n)
		}
	}
}
