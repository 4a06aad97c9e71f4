package drill

import (
	"strings"
	"testing"

	"abt2.dev"
)

func versions(list ...string) map[abt2.ModuleName]abt2.VersionID {
	out := map[abt2.ModuleName]abt2.VersionID{}
	for _, s := range list {
		v, err := abt2.ParseVersionID(s)
		if err != nil {
			panic(err)
		}
		out[v.Module] = v
	}
	return out
}

func TestJudge(t *testing.T) {
	j := judge{4: versions("web@1", "order@1"), 5: versions("web@2", "order@1")}
	for _, c := range []struct {
		body         string
		judged       bool
		environment  abt2.EnvironmentID
		mixed, wrong string
	}{
		{body: `{"hops":[{"module":"web","version":"web@1","environment":4},{"module":"order","version":"order@1","environment":4}]}`, judged: true, environment: 4},
		{body: `{"hops":[{"module":"web","version":"web@2","environment":5},{"module":"order","version":"order@1","environment":5}],"other":1}`, judged: true, environment: 5},
		{body: `{"hops":[{"module":"web","version":"web@1","environment":4},{"module":"order","version":"order@1","environment":5}]}`, judged: true, environment: 4, mixed: "environments 4 and 5"},
		{body: `{"hops":[{"module":"web","version":"web@1","environment":5},{"module":"order","version":"order@1","environment":5}]}`, judged: true, environment: 5, mixed: "web@1 took part, but environment 5 names web@2"},
		{body: `{"hops":[{"module":"web","version":"web@2","environment":5},{"module":"order","version":"order@2","environment":5}]}`, judged: true, environment: 5, mixed: "order@2 took part"},
		{body: `{"hops":[{"module":"stock","version":"stock@1","environment":5}]}`, judged: true, environment: 5, mixed: "has no stock"},
		{body: `{"hops":[{"module":"web","version":"web@1","environment":6}]}`, judged: true, environment: 6, wrong: "environment 6, which is neither"},
		// What is absent is not judged.
		{body: `{"hops":[{"module":"web","version":"web@1"},{"environment":4},{"module":"order","environment":4}]}`, judged: true, environment: 4},
		{body: `{"hops":[{"module":"web","version":"web@2"},{"environment":4}]}`, judged: true, environment: 4, mixed: "web@2 took part"},
		{body: `{"hops":[{"module":"web","version":"web@1"}]}`},
		{body: `{"hops":[]}`}, {body: `{"hops":7}`}, {body: `{"hops":[{"environment":"4"}]}`}, {body: `[]`}, {body: `null`}, {body: `<html>`}, {body: ``},
	} {
		v := j.look([]byte(c.body))
		says := func(got, want string) bool { return (got == "") == (want == "") && strings.Contains(got, want) }
		if v.judged != c.judged || v.environment != c.environment || !says(v.mixed, c.mixed) || !says(v.wrong, c.wrong) {
			t.Errorf("%s: got %+v, want %+v", c.body, v, c)
		}
	}
}

func TestCounters(t *testing.T) {
	is := func(id string, mixed, restamped uint64) abt2.RouterStatus {
		return abt2.RouterStatus{ID: id, Mixed: mixed, Restamped: restamped}
	}
	c := from([]abt2.RouterStatus{is("edge-1", 7, 0), is("order-1-1", 2, 5)})
	c.add([]abt2.RouterStatus{is("edge-1", 7, 0), is("order-1-1", 3, 5), is("order-1-2", 0, 4)})
	c.add([]abt2.RouterStatus{is("order-1-1", 3, 6)})                     // the edge is not heard of
	c.add([]abt2.RouterStatus{is("edge-1", 8, 0), is("order-1-1", 1, 0)}) // an instance began anew
	if want := (abt2.DrillCounters{Mixed: 3, Restamped: 5}); c.grown != want {
		t.Errorf("grown by %+v, want %+v", c.grown, want)
	}
}
