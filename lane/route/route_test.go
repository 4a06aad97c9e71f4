package route_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// shop has a product with online 42, preview 43, backup 41, parked previews 44
// and 45, and 40 retiring.
func shop(revision uint64) *feedpb.Table {
	instances := func(version string, n int) (out []*feedpb.Instance) {
		for i := range n {
			out = append(out, &feedpb.Instance{Id: fmt.Sprintf("%s-%d", version, i), Address: fmt.Sprintf("127.0.0.1:%d", 9000+i)})
		}
		return out
	}
	version := func(id, kind, prefix, fallback string, n int) *feedpb.Version {
		return &feedpb.Version{Id: id, Kind: kind, Prefix: prefix, Fallback: fallback, Instances: instances(id, n)}
	}
	return &feedpb.Table{
		Mark:               &feedpb.Mark{Epoch: "e", Revision: revision},
		HighestEnvironment: 50,
		Products: []*feedpb.Product{
			{Name: "default", Online: 42, Backup: 41, Preview: 43, Parked: []uint64{44, 45}},
			{Name: "other", Hosts: []string{"Other.example", "::1"}, Online: 50},
		},
		Environments: []*feedpb.Environment{
			{Id: 40, Product: "default", Versions: []string{"order@1"}, WasOnline: true},
			{Id: 41, Product: "default", Versions: []string{"web@1", "order@2"}, WasOnline: true},
			{Id: 42, Product: "default", Versions: []string{"web@1", "api@1", "order@3", "stock@1"}, WasOnline: true},
			{Id: 43, Product: "default", Versions: []string{"web@1", "api@2", "order@4", "stock@2"}},
			{Id: 44, Product: "default", Versions: []string{"web@1", "stock@2"}},
			{Id: 45, Product: "default", Versions: []string{"web@1", "stock@3"}},
			{Id: 50, Product: "other", Versions: []string{"order@3"}, WasOnline: true},
		},
		Versions: []*feedpb.Version{
			version("web@1", "edge", "/", "none", 1),
			version("api@1", "edge", "/api", "none", 1),
			version("api@2", "edge", "/api", "none", 0),
			version("order@1", "service", "", "none", 1),
			version("order@2", "service", "", "none", 1),
			version("order@3", "service", "", "none", 3),
			version("order@4", "service", "", "none", 0),
			version("stock@1", "service", "", "online", 2),
			version("stock@2", "service", "", "online", 0),
			version("stock@3", "service", "", "none", 1),
		},
		Names: []*feedpb.Name{{Module: "order", Product: "default", Address: "127.0.0.1:7001"}},
	}
}

func newShop(t testing.TB) *route.Router {
	t.Helper()
	r := route.New()
	if err := r.Apply(shop(1)); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestExternalIsNotNamed: who does not know which version it is is not asked to be it.
func TestExternalIsNotNamed(t *testing.T) {
	r := route.New()
	instances := []*feedpb.Instance{{Id: "x-1", Address: "10.0.0.1:80"}}
	err := r.Apply(&feedpb.Table{
		Mark: &feedpb.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: 1,
		Products:     []*feedpb.Product{{Name: "default", Online: 1}},
		Environments: []*feedpb.Environment{{Id: 1, Product: "default", Versions: []string{"order@1", "stock@1"}}},
		Versions: []*feedpb.Version{
			{Id: "order@1", Kind: "service", External: true, Instances: instances},
			{Id: "stock@1", Kind: "service", Instances: []*feedpb.Instance{{Id: "stock-1-2", Address: "10.0.0.2:80"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string][]string{"order": nil, "stock": {"stock@1/stock-1-2"}} {
		p, err := r.Pick(1, module)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.To, want) {
			t.Errorf("%s: addressed to %q, want %q", module, p.To, want)
		}
		p.Done()
	}
}

func TestPick(t *testing.T) {
	r := newShop(t)
	for _, tt := range []struct {
		name    string
		env     uint64
		module  string
		version string
		reason  route.Reason
	}{
		{"online", 42, "order", "order@3", 0},
		{"backup", 41, "order", "order@2", 0},
		{"retiring environments are still served", 40, "order", "order@1", 0},
		{"no healthy instance", 43, "order", "", route.NoInstance},
		{"module of another environment", 41, "stock", "", route.NoModule},
		{"retired", 39, "order", "", route.Retired},
		{"highest and absent is retired", 49, "order", "", route.Retired},
		{"above the highest", 51, "order", "", route.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := r.Pick(tt.env, tt.module)
			if route.ReasonOf(err) != tt.reason {
				t.Fatalf("got error %v", err)
			}
			if err != nil {
				return
			}
			if p.Version != tt.version || p.InFlight() != 1 {
				t.Errorf("got %s with %d in flight", p.Version, p.InFlight())
			}
			p.Done()
			if p.InFlight() != 0 {
				t.Errorf("%d in flight after Done", p.InFlight())
			}
		})
	}
	if _, err := route.New().Pick(1, "order"); route.ReasonOf(err) != route.Unknown {
		t.Errorf("without a table: %v", err)
	}
}

func TestPickSpreadsByRequestsInFlight(t *testing.T) {
	r := newShop(t)
	for range 30 {
		if _, err := r.Pick(42, "order"); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing is done: power of two choices can only be uneven by little, where
	// choosing blindly among three differs by more almost always.
	counts := map[string]int64{}
	for _, in := range r.Snapshot().Product("default").Online.Version("order").Instances {
		counts[in.ID] = in.InFlight()
		if n := in.InFlight(); n < 8 || n > 12 {
			t.Errorf("%s has %d of 30", in.ID, n)
		}
	}
	if len(counts) != 3 {
		t.Errorf("got %v", counts)
	}
}

func TestPickOtherNeverReturnsWhatWasTried(t *testing.T) {
	r := newShop(t)
	var tried []*route.Instance
	for range 3 {
		p, err := r.PickOther(42, "order", tried...)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(tried, p.Instance) {
			t.Fatalf("%s was tried", p.ID)
		}
		tried = append(tried, p.Instance)
	}
	if _, err := r.PickOther(42, "order", tried...); route.ReasonOf(err) != route.NoInstance {
		t.Errorf("all tried: %v", err)
	}
}

func TestPickFallback(t *testing.T) {
	r := newShop(t)
	for _, tt := range []struct {
		env     uint64
		module  string
		version string
	}{
		{43, "stock", "stock@1"}, // fallback: online
		{43, "order", ""},        // fallback: none
		{42, "stock", ""},        // online itself
		{41, "order", ""},        // has been online
	} {
		p, err := r.Snapshot().PickFallback(tt.env, tt.module)
		switch {
		case tt.version == "" && route.ReasonOf(err) != route.NoInstance:
			t.Errorf("%d %s: got %v, %v", tt.env, tt.module, p, err)
		case tt.version != "" && (err != nil || p.Version != tt.version):
			t.Errorf("%d %s: got %v, %v, want %s", tt.env, tt.module, p, err, tt.version)
		}
	}
}

func TestHost(t *testing.T) {
	s := newShop(t).Snapshot()
	for host, want := range map[string]string{
		"other.example":      "other",
		"OTHER.Example:8080": "other",
		"other.example.":     "other",
		"[::1]:80":           "other",
		"[::1]":              "other",
		"localhost:8080":     "default",
		"":                   "default",
		"xother.example":     "default",
	} {
		if p, err := s.Host(host); err != nil || p.Name != want {
			t.Errorf("%q: got %v, %v, want %s", host, p, err, want)
		}
	}
	if _, err := route.New().Snapshot().Host("x"); route.ReasonOf(err) != route.NoProduct {
		t.Errorf("without a table: %v", err)
	}
}

func TestRoute(t *testing.T) {
	s := newShop(t).Snapshot()
	for _, tt := range []struct {
		env  uint64
		path string
		want string
	}{
		{42, "/", "web@1"},
		{42, "/api", "api@1"},
		{42, "/api/", "api@1"},
		{42, "/api/x", "api@1"},
		{42, "/apix", "web@1"},
		{42, "*", "web@1"},
		{43, "/api/x", "api@2"},
		{41, "/api/x", "web@1"}, // this environment has no api
		{50, "/", ""},
	} {
		e, err := s.Environment(tt.env)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if v := e.Route(tt.path); v != nil {
			got = v.ID
		}
		if got != tt.want {
			t.Errorf("%d %s: got %q, want %q", tt.env, tt.path, got, tt.want)
		}
	}
}

func TestRolesAndNaming(t *testing.T) {
	s := newShop(t).Snapshot()
	for env, want := range map[uint64]route.Role{40: route.RoleRetired, 41: route.RoleBackup, 42: route.RoleOnline, 43: route.RolePreview, 44: route.RolePreview, 45: route.RolePreview, 50: route.RoleOnline} {
		if e, err := s.Environment(env); err != nil || e.Role != want {
			t.Errorf("%d: got %v, %v, want %s", env, e, err, want)
		}
	}
	for _, tt := range []struct {
		version, product string
		want             uint64
	}{
		{"order@3", "default", 42},
		{"web@1", "default", 42}, // in all three: online first
		{"order@2", "default", 41},
		{"order@4", "default", 43},
		{"stock@2", "default", 43}, // the open session's goes first
		{"stock@3", "default", 45},
		{"order@1", "default", 0}, // only retiring
		{"order@3", "other", 50},
		{"order@2", "other", 0},
		{"order@3", "nobody", 0},
	} {
		e, err := s.Naming(tt.version, tt.product)
		if tt.want == 0 {
			if route.ReasonOf(err) != route.NoVersion {
				t.Errorf("%s of %s: got %v, %v", tt.version, tt.product, e, err)
			}
		} else if err != nil || e.ID != tt.want {
			t.Errorf("%s of %s: got %v, %v, want %d", tt.version, tt.product, e, err, tt.want)
		}
	}
}

func TestApplyRefusesOlderTablesOfItsEpoch(t *testing.T) {
	r := route.New()
	apply := func(epoch string, revision uint64) error {
		table := shop(revision)
		table.Mark.Epoch = epoch
		return r.Apply(table)
	}
	for _, tt := range []struct {
		epoch    string
		revision uint64
		older    bool
	}{
		{"a", 5, false}, {"a", 5, false}, {"a", 4, true}, {"a", 6, false}, {"b", 1, false}, {"b", 2, false}, {"b", 1, true},
	} {
		before := r.Mark()
		err := apply(tt.epoch, tt.revision)
		if errors.Is(err, route.ErrOlder) != tt.older {
			t.Errorf("%s/%d: got %v", tt.epoch, tt.revision, err)
		}
		want := route.Mark{Epoch: tt.epoch, Revision: tt.revision}
		if tt.older {
			want = before
		}
		if r.Mark() != want {
			t.Errorf("%s/%d: mark is %s, want %s", tt.epoch, tt.revision, r.Mark(), want)
		}
	}
}

func TestApplyRefusesContradictionsWhole(t *testing.T) {
	for name, spoil := range map[string]func(*feedpb.Table){
		"no epoch":               func(t *feedpb.Table) { t.Mark = nil },
		"unknown product":        func(t *feedpb.Table) { t.Environments[0].Product = "x" },
		"unknown version":        func(t *feedpb.Table) { t.Environments[0].Versions = []string{"x@1"} },
		"two versions":           func(t *feedpb.Table) { t.Environments[0].Versions = []string{"order@1", "order@2"} },
		"unknown online":         func(t *feedpb.Table) { t.Products[0].Online = 1 },
		"environment id of zero": func(t *feedpb.Table) { t.Environments[0].Id = 0 },
	} {
		r := newShop(t)
		table := shop(2)
		spoil(table)
		if err := r.Apply(table); err == nil {
			t.Errorf("%s: applied", name)
		}
		if r.Mark().Revision != 1 {
			t.Errorf("%s: mark is %s", name, r.Mark())
		}
	}
}

// TestInFlightOutlivesTables ends a request on a snapshot that has been replaced.
func TestInFlightOutlivesTables(t *testing.T) {
	r := newShop(t)
	p, err := r.Pick(41, "order")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(shop(2)); err != nil {
		t.Fatal(err)
	}
	now := r.Snapshot().Product("default").Backup.Version("order").Instances[0]
	if now.InFlight() != 1 {
		t.Errorf("%d in flight after a new table, want 1", now.InFlight())
	}
	p.Done()
	if now.InFlight() != 0 {
		t.Errorf("%d in flight after Done", now.InFlight())
	}
}

// TestOneSnapshotIsOneRelease picks while tables that swap everything are applied.
func TestOneSnapshotIsOneRelease(t *testing.T) {
	tables := [2]*feedpb.Table{}
	for i := range tables {
		n := i + 1
		tables[i] = &feedpb.Table{
			Mark: &feedpb.Mark{Epoch: fmt.Sprint("e", i), Revision: 1}, HighestEnvironment: 1,
			Products:     []*feedpb.Product{{Name: "default", Online: 1}},
			Environments: []*feedpb.Environment{{Id: 1, Product: "default", Versions: []string{fmt.Sprint("a@", n), fmt.Sprint("b@", n)}}},
			Versions: []*feedpb.Version{
				{Id: fmt.Sprint("a@", n), Instances: []*feedpb.Instance{{Id: fmt.Sprint("a", n)}}},
				{Id: fmt.Sprint("b@", n), Instances: []*feedpb.Instance{{Id: fmt.Sprint("b", n)}}},
			},
		}
	}
	r := route.New()
	if err := r.Apply(tables[0]); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				s := r.Snapshot()
				a, errA := s.Pick(1, "a")
				b, errB := s.Pick(1, "b")
				if errA != nil || errB != nil || a.ID[1] != b.ID[1] {
					t.Errorf("mixed: %v %v", a, b)
					return
				}
				a.Done()
				b.Done()
			}
		})
	}
	for i := range 500 {
		if err := r.Apply(tables[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// large is a table of n environments with ten modules, each on its own version
// of one of them.
func large(n int) *feedpb.Table {
	const modules = 10
	t := &feedpb.Table{
		Mark: &feedpb.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: uint64(n),
		Products: []*feedpb.Product{{Name: "default", Online: uint64(n)}},
	}
	addVersion := func(id string) {
		t.Versions = append(t.Versions, &feedpb.Version{Id: id, Kind: "service", Instances: []*feedpb.Instance{
			{Id: id + "-a", Address: "127.0.0.1:1"}, {Id: id + "-b", Address: "127.0.0.1:2"},
		}})
	}
	for m := range modules {
		addVersion(fmt.Sprintf("module%d@1", m))
	}
	for i := range n {
		e := &feedpb.Environment{Id: uint64(i + 1), Product: "default"}
		own := fmt.Sprintf("module0@%d", i+2)
		addVersion(own)
		e.Versions = append(e.Versions, own)
		for m := 1; m < modules; m++ {
			e.Versions = append(e.Versions, fmt.Sprintf("module%d@1", m))
		}
		t.Environments = append(t.Environments, e)
	}
	return t
}

func TestPickAllocatesNothing(t *testing.T) {
	r := route.New()
	if err := r.Apply(large(100)); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		p, err := r.Pick(7, "module3")
		if err != nil {
			t.Fatal(err)
		}
		p.Done()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkPick picks an instance and ends the request. The baseline does the
// least anybody could: one address out of one map.
func BenchmarkPick(b *testing.B) {
	b.Run("baseline", func(b *testing.B) {
		addresses := map[string][]string{}
		for m := range 10 {
			addresses[fmt.Sprintf("module%d", m)] = []string{"127.0.0.1:1", "127.0.0.1:2"}
		}
		b.ReportAllocs()
		for b.Loop() {
			list := addresses["module3"]
			if list[rand.IntN(len(list))] == "" {
				b.Fatal("no address")
			}
		}
	})
	for _, n := range []int{1, 100, 10000} {
		r := route.New()
		if err := r.Apply(large(n)); err != nil {
			b.Fatal(err)
		}
		// Requests carry the online environment, a preview and a backup at most…
		b.Run(fmt.Sprintf("environments=%d", n), func(b *testing.B) { benchmarkPick(b, r, min(n, 3)) })
		if n == 10000 { // …and every one in turn is what the processor's caches make of it.
			b.Run(fmt.Sprintf("environments=%d,all-in-turn", n), func(b *testing.B) { benchmarkPick(b, r, n) })
		}
	}
}

func benchmarkPick(b *testing.B, r *route.Router, carried int) {
	b.ReportAllocs()
	env := uint64(1)
	for b.Loop() {
		p, err := r.Pick(env, "module0")
		if err != nil {
			b.Fatal(err)
		}
		p.Done()
		if env++; env > uint64(carried) {
			env = 1
		}
	}
}

// TestEnvironmentsFarApart keeps one environment alive while ids move on.
func TestEnvironmentsFarApart(t *testing.T) {
	r := route.New()
	ids := []uint64{1, 2, 1_000_000, 1 << 63}
	table := &feedpb.Table{Mark: &feedpb.Mark{Epoch: "e", Revision: 1}, HighestEnvironment: 1 << 63, Products: []*feedpb.Product{{Name: "default"}}}
	for _, id := range ids {
		table.Environments = append(table.Environments, &feedpb.Environment{Id: id, Product: "default"})
	}
	if err := r.Apply(table); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if e, err := r.Snapshot().Environment(id); err != nil || e.ID != id {
			t.Errorf("%d: got %v, %v", id, e, err)
		}
	}
	for _, id := range []uint64{0, 3, 999_999, 1<<63 - 1} {
		if _, err := r.Snapshot().Environment(id); route.ReasonOf(err) != route.Retired {
			t.Errorf("%d: %v", id, err)
		}
	}
}
