package external_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/driver/external"
	"abt2.dev/lane/stamp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg external.Config) *external.Platform {
	t.Helper()
	p, err := external.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestPlatform: nothing is started, and yet the contract holds.
func TestPlatform(t *testing.T) {
	drivertest.Platform(t, func(t *testing.T) (abt2.Platform, drivertest.Fixture) {
		dir := t.TempDir()
		p := open(t, external.Config{Dir: dir})
		addresses := map[abt2.VersionID][]string{}
		return p, drivertest.Fixture{
			Workload: func(t *testing.T, v abt2.VersionID, scale int) abt2.Workload {
				for len(addresses[v]) < scale {
					addresses[v] = append(addresses[v], serve(t, http.NotFoundHandler()).Listener.Addr().String())
				}
				return workload(v, abt2.Config{Kind: abt2.KindService, Health: abt2.HealthTCP, External: addresses[v][:scale]})
			},
			Lives: func(t *testing.T, i abt2.Instance) bool {
				_, ok := find(t, p, i.ID)
				return ok
			},
			Reopen: func(t *testing.T) abt2.Platform {
				p.Close()
				p = open(t, external.Config{Dir: dir})
				return p
			},
		}
	})
}

func workload(v abt2.VersionID, c abt2.Config) abt2.Workload {
	return abt2.Workload{Version: abt2.Version{ID: v, Config: c}, Scale: len(c.External)}
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func find(t *testing.T, p abt2.Platform, id abt2.InstanceID) (abt2.Instance, bool) {
	t.Helper()
	all, err := p.Instances(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.ID == id {
			return i, true
		}
	}
	return abt2.Instance{}, false
}

// until follows the platform until what it shows is ok.
func until(t *testing.T, p abt2.Platform, what string, ok func([]abt2.Instance) bool) []abt2.Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	changed, done := make(chan struct{}, 1), make(chan struct{})
	go func() { defer close(done); _ = p.Watch(ctx, changed) }()
	defer func() { cancel(); <-done }()
	for {
		all, err := p.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok(all) {
			return all
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: not seen; last: %+v", what, all)
		}
	}
}

var order1 = abt2.VersionID{Module: "order", Number: 1}

func is(state abt2.InstanceState, detail string) func([]abt2.Instance) bool {
	return func(all []abt2.Instance) bool {
		return len(all) == 1 && all[0].State == state && strings.Contains(all[0].Detail, detail)
	}
}

// TestHealth: what answers is healthy, what stops to is named with its address,
// and what comes back is healthy again under the same id.
func TestHealth(t *testing.T) {
	var mu sync.Mutex
	status := http.StatusOK
	set := func(n int) { mu.Lock(); defer mu.Unlock(); status = n }
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/healthz" && r.Header.Get(stamp.ProbeHeader) == "" {
			t.Error("a check without the header that tells it apart")
		}
		w.WriteHeader(status)
	}))
	p := open(t, external.Config{Dir: t.TempDir(), CheckEvery: time.Millisecond})
	c := abt2.Config{Kind: abt2.KindService, Health: "/healthz", External: abt2.External{s.Listener.Addr().String()}}
	if err := p.Apply(t.Context(), workload(order1, c)); err != nil {
		t.Fatal(err)
	}
	first := until(t, p, "healthy", is(abt2.InstanceHealthy, ""))[0]
	set(http.StatusServiceUnavailable)
	until(t, p, "unhealthy", is(abt2.InstanceUnhealthy, "/healthz: answered 503"))
	set(http.StatusFound)
	if again := until(t, p, "healthy again", is(abt2.InstanceHealthy, ""))[0]; again.ID != first.ID {
		t.Errorf("came back as %s, was %s", again.ID, first.ID)
	}
	s.CloseClientConnections()
	s.Close()
	until(t, p, "gone", is(abt2.InstanceUnhealthy, "nothing listens there"))
}

// TestLoop: an address that leads back to an edge never becomes healthy.
func TestLoop(t *testing.T) {
	proxy := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, abt2.ReservedPrefix) {
			w.Header().Set(stamp.EdgeHeader, "edge-1")
		}
	}))
	p := open(t, external.Config{Dir: t.TempDir()})
	c := abt2.Config{Kind: abt2.KindEdge, Prefix: "/", Health: abt2.HealthTCP, External: abt2.External{proxy.Listener.Addr().String()}}
	if err := p.Apply(t.Context(), workload(order1, c)); err != nil {
		t.Fatal(err)
	}
	until(t, p, "the loop", is(abt2.InstanceStarting, `leads to one ("edge-1")`))
}

// TestReopen: until it has been checked, nothing is known of an instance; that
// is not ended.
func TestReopen(t *testing.T) {
	hold := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(hold) }) }
	var mu sync.Mutex
	held := false
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		wait := held
		mu.Unlock()
		if wait {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
	}))
	defer release()
	dir := t.TempDir()
	p := open(t, external.Config{Dir: dir})
	c := abt2.Config{Kind: abt2.KindService, Health: "/", External: abt2.External{s.Listener.Addr().String()}}
	if err := p.Apply(t.Context(), workload(order1, c)); err != nil {
		t.Fatal(err)
	}
	before := until(t, p, "healthy", is(abt2.InstanceHealthy, ""))[0]
	p.Close()
	mu.Lock()
	held = true
	mu.Unlock()
	p = open(t, external.Config{Dir: dir})
	if i, ok := find(t, p, before.ID); !ok || i.State != abt2.InstanceUnreachable || i.Address != before.Address {
		t.Errorf("after opening again: %+v, %v", i, ok)
	}
	release()
	until(t, p, "healthy", is(abt2.InstanceHealthy, ""))
}

// names is a name server.
type names struct {
	mu    sync.Mutex
	hosts []string
	srv   []*net.SRV
	err   error

	failed chan struct{} // told of each failing lookup; nil: nobody cares
}

func (n *names) LookupHost(ctx context.Context, _ string) ([]string, error) {
	n.mu.Lock()
	hosts, err, failed := n.hosts, n.err, n.failed
	n.mu.Unlock()
	if err != nil && failed != nil {
		select {
		case failed <- struct{}{}:
		case <-ctx.Done():
		}
	}
	return hosts, err
}

func (n *names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if service != "" || proto != "" {
		return "", nil, fmt.Errorf("asked for _%s._%s.%s", service, proto, name)
	}
	return "", n.srv, n.err
}

func (n *names) set(change func()) { n.mu.Lock(); defer n.mu.Unlock(); change() }

func TestDNS(t *testing.T) {
	a := serve(t, http.NotFoundHandler())
	_, port, _ := net.SplitHostPort(a.Listener.Addr().String())
	dns := &names{err: &net.DNSError{Err: "no such host", Name: "order.internal", Server: "10.0.0.1"}}
	p := open(t, external.Config{Dir: t.TempDir(), Resolver: dns, CheckEvery: time.Millisecond, ResolveEvery: time.Millisecond})
	c := abt2.Config{Kind: abt2.KindService, Health: abt2.HealthTCP, External: abt2.External{"dns:order.internal:" + port}}
	if err := p.Apply(t.Context(), workload(order1, c)); err != nil {
		t.Fatal(err)
	}
	until(t, p, "why", is(abt2.InstanceStarting, "dns:order.internal:"+port+": no such host"))
	dns.set(func() { dns.err, dns.hosts = nil, []string{"127.0.0.1"} })
	first := until(t, p, "resolved", is(abt2.InstanceHealthy, ""))[0]
	if first.Address != "127.0.0.1:"+port {
		t.Errorf("resolved to %s", first.Address)
	}

	// A name server that is down takes nothing down.
	again := make(chan struct{})
	dns.set(func() { dns.err, dns.failed = errors.New("no answer"), again })
	<-again
	<-again // the failure before this one has been dealt with
	dns.set(func() { dns.failed = nil })
	until(t, p, "still there", func(all []abt2.Instance) bool { return len(all) == 1 && all[0].ID == first.ID })

	// An address that goes and comes back is another instance.
	dns.set(func() { dns.err, dns.hosts = nil, []string{"127.0.0.2"} })
	until(t, p, "moved", func(all []abt2.Instance) bool { return len(all) == 1 && all[0].Address == "127.0.0.2:"+port })
	dns.set(func() { dns.hosts = []string{"127.0.0.1", "127.0.0.2"} })
	for _, i := range until(t, p, "both", func(all []abt2.Instance) bool { return len(all) == 2 }) {
		if i.ID == first.ID {
			t.Errorf("%s was used before", i.ID)
		}
	}
}

func TestSRV(t *testing.T) {
	s := serve(t, http.NotFoundHandler())
	port := s.Listener.Addr().(*net.TCPAddr).Port
	dns := &names{srv: []*net.SRV{{Target: "localhost.", Port: uint16(port)}}}
	p := open(t, external.Config{Dir: t.TempDir(), Resolver: dns})
	c := abt2.Config{Kind: abt2.KindService, Health: abt2.HealthTCP, External: abt2.External{"dns:_order._tcp.internal"}}
	if err := p.Apply(t.Context(), workload(order1, c)); err != nil {
		t.Fatal(err)
	}
	if i := until(t, p, "healthy", is(abt2.InstanceHealthy, ""))[0]; i.Address != fmt.Sprintf("localhost:%d", port) {
		t.Errorf("resolved to %s", i.Address)
	}
}

// TestApplyRefuses: what abt2 is to run is not for this platform.
func TestApplyRefuses(t *testing.T) {
	p := open(t, external.Config{Dir: t.TempDir()})
	w := abt2.Workload{Version: abt2.Version{ID: order1, Config: abt2.Config{Kind: abt2.KindService}}, Scale: 1}
	if err := p.Apply(t.Context(), w); abt2.CodeOf(err) != abt2.CodeInvalid {
		t.Errorf("Apply: %v", err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("left")
	cancel(cause)
	if err := p.Remove(ended, order1); !errors.Is(err, cause) {
		t.Errorf("Remove: %v", err)
	}
}
