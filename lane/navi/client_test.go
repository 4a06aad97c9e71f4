package navi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"abt2.dev/lane"
	"abt2.dev/lane/navi"
	"abt2.dev/lane/route"
)

// The methods of Orders, with the types by which a Java server finds them.
var (
	get      = navi.Signature{Name: "get", Types: []string{"long"}, Idempotent: true}
	joinText = navi.Signature{Name: "join", Types: []string{"java.lang.String", "int"}}
	nothing  = navi.Signature{Name: "nothing"}
	missing  = navi.Signature{Name: "missing", Types: []string{"long"}}
	refuse   = navi.Signature{Name: "refuse", Types: []string{"java.lang.String"}}
	slow     = navi.Signature{Name: "slow", Types: []string{"long"}}
	received = navi.Signature{Name: "received"}
)

func newClient(t testing.TB, l *lane.Lane, options ...navi.Option) *navi.Client {
	c := navi.NewClient(l, "order", "Orders", options...)
	t.Cleanup(c.Close)
	return c
}

// TestGoCallsJava: a client in Go calls a server with Navi's own codec, or what
// stands in for it.
func TestGoCallsJava(t *testing.T) {
	c := newClient(t, outside(t, javaServer(t)))
	ctx := testContext(t)
	var o order
	if err := c.Call(ctx, get, &o, 7); err != nil || o != (order{7, "book"}) {
		t.Errorf("get: %v, %v", o, err)
	}
	var text string
	if err := c.Call(ctx, joinText, &text, "ab", 3); err != nil || text != "ababab" {
		t.Errorf("join: %q, %v", text, err)
	}
	if err := c.Call(ctx, nothing, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if err := c.Call(ctx, missing, &o, 7); err != nil || o.ID != 7 {
		t.Errorf("missing: %v, %v", o, err)
	}
	for name, call := range map[string]struct {
		err  error
		want navi.Error
	}{
		"raised":       {c.Call(ctx, refuse, nil, "not today"), navi.Error{Status: navi.Raised, Message: "not today"}},
		"wrong types":  {c.Call(ctx, navi.Signature{Name: "get", Types: []string{"int"}}, nil, 7), navi.Error{Status: navi.Failed, Message: "get[int]"}},
		"no such type": {c.Call(ctx, navi.Signature{Name: "get"}, nil, 7), navi.Error{Status: navi.Failed, Message: "get[]"}},
	} {
		if e := (*navi.Error)(nil); !errors.As(call.err, &e) || *e != call.want {
			t.Errorf("%s: %v, want %v", name, call.err, call.want)
		}
	}
	if err := c.Call(ctx, navi.Signature{Name: "unheard"}, nil); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("no such method: %v", err) // Navi cannot decode it, and answers without a body
	}
}

// TestEnvironmentsReachTheirVersions: a call goes to the version that its
// environment names, and carries the environment as a header and in its body.
func TestEnvironmentsReachTheirVersions(t *testing.T) {
	three, four := javaServer(t), javaServer(t)
	ctx := testContext(t)
	c := newClient(t, newFeed(t, []string{three}, []string{four}).join(t, "web@1", "web-1"))
	for env, want := range map[uint64]struct{ address, to string }{
		42: {three, "order@3/order-3-1"},
		43: {four, "order@4/order-4-1"},
	} {
		if err := c.Call(lane.WithEnvironment(ctx, env), get, nil, 7); err != nil {
			t.Fatal(err)
		}
		last := lastCall(t, want.address)
		if !strings.HasPrefix(last, fmt.Sprintf("%d %s {", env, want.to)) || !strings.Contains(last, fmt.Sprintf(`"abt2Env":"%d"`, env)) {
			t.Errorf("environment %d: %s has received %s", env, want.to, last)
		}
	}
	err := c.Call(lane.WithEnvironment(ctx, 41), get, nil, 7)
	if route.ReasonOf(err) != route.Retired {
		t.Errorf("environment 41: %v", err)
	}
}

// lastCall asks a Java server what it has received last.
func lastCall(t *testing.T, address string) string {
	t.Helper()
	res, err := http.Get("http://" + address + "/service_api/Orders")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestSelectors: each way of choosing reaches all instances.
func TestSelectors(t *testing.T) {
	a, b := javaServer(t), javaServer(t)
	ctx := testContext(t)
	for name, l := range map[string]*lane.Lane{
		"feed":    newFeed(t, []string{a, b}, nil).join(t, "web@1", "web-1"),
		"outside": outside(t, a, b),
	} {
		before := [2]int{receivedBy(t, a), receivedBy(t, b)}
		c := newClient(t, l, navi.Select(navi.RoundRobin))
		for range 10 {
			_ = c.Call(ctx, refuse, nil, "counted")
		}
		if now := [2]int{receivedBy(t, a), receivedBy(t, b)}; now != [2]int{before[0] + 5, before[1] + 5} {
			t.Errorf("%s in turn: %v, then %v", name, before, now)
		}
		before = [2]int{receivedBy(t, a), receivedBy(t, b)}
		c = newClient(t, l, navi.Select(navi.Random))
		for range 60 { // all to one: once in 2^59
			_ = c.Call(ctx, refuse, nil, "counted")
		}
		if now := [2]int{receivedBy(t, a), receivedBy(t, b)}; now[0] == before[0] || now[1] == before[1] || now[0]+now[1] != before[0]+before[1]+60 {
			t.Errorf("%s at random: %v, then %v", name, before, now)
		}
	}
}

// receivedBy asks a Java server how many calls of slow and refuse it has received.
func receivedBy(t *testing.T, address string) int {
	t.Helper()
	n := -1
	if err := newClient(t, outside(t, address)).Call(testContext(t), received, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFailOver: a second attempt is made where the first cannot have run the
// method, or may be run twice, and at another instance.
func TestFailOver(t *testing.T) {
	a, b := javaServer(t), javaServer(t)
	closed := refusing(t)
	short := navi.Timeouts(time.Second, 100*time.Millisecond)
	twice := slow
	twice.Idempotent = true
	for _, c := range []struct {
		name      string
		addresses []string
		options   []navi.Option
		method    navi.Signature
		arg       any
		ok        bool
		received  [2]int // by a and b
	}{
		{name: "nobody listens", addresses: []string{closed, b}, method: slow, arg: 0, ok: true, received: [2]int{0, 1}},
		{name: "failing fast", addresses: []string{closed, b}, options: []navi.Option{navi.OnFailure(navi.FailFast)}, method: slow, arg: 0},
		{name: "nobody listens anywhere", addresses: []string{closed, closed}, method: slow, arg: 0},
		{name: "alone", addresses: []string{a}, options: []navi.Option{short}, method: twice, arg: 5000, received: [2]int{1, 0}},
		{name: "too late", addresses: []string{a, b}, options: []navi.Option{short}, method: slow, arg: 5000, received: [2]int{1, 0}},
		{name: "too late and idempotent", addresses: []string{a, b}, options: []navi.Option{short}, method: twice, arg: 5000, received: [2]int{1, 1}},
		{name: "at most twice", addresses: []string{closed, closed, b}, method: slow, arg: 0},
		{name: "what a method raises is an answer", addresses: []string{a, b}, method: navi.Signature{Name: "refuse", Types: refuse.Types, Idempotent: true}, arg: "no", received: [2]int{1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := [2]int{receivedBy(t, a), receivedBy(t, b)}
			// In turn, from the first: the addresses are tried as they stand.
			client := newClient(t, outside(t, c.addresses...), append(c.options, navi.Select(navi.RoundRobin))...)
			err := client.Call(testContext(t), c.method, nil, c.arg)
			if (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
			if now := [2]int{receivedBy(t, a), receivedBy(t, b)}; now != [2]int{before[0] + c.received[0], before[1] + c.received[1]} {
				t.Errorf("received %v, then %v", before, now)
			}
		})
	}
}

// TestFailOverWithinAVersion: the second attempt goes to an instance of the same
// version, and the caller's own end is no reason for one.
func TestFailOverWithinAVersion(t *testing.T) {
	three, four := javaServer(t), javaServer(t)
	c := newClient(t, newFeed(t, []string{refusing(t), three}, []string{four}).join(t, "web@1", "web-1"), navi.Select(navi.RoundRobin))
	ctx := lane.WithEnvironment(testContext(t), 42)
	for range 4 {
		if err := c.Call(ctx, refuse, nil, "counted"); err == nil || err.Error() != "counted" {
			t.Fatal(err)
		}
	}
	if n := receivedBy(t, three); n != 4 {
		t.Errorf("%d calls received, want 4", n)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Call(over, get, nil, 7); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if n := receivedBy(t, four); n != 0 {
		t.Errorf("the other version received %d calls", n)
	}
}

func TestResultMustBeAPointer(t *testing.T) {
	c := newClient(t, outside(t, refusing(t)))
	if err := c.Call(testContext(t), get, order{}, 7); err == nil || !strings.Contains(err.Error(), "must be a pointer") {
		t.Error(err)
	}
}
