package release_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/fake"
	"abt2.dev/internal/driver/fault"
	"abt2.dev/internal/release"
	"abt2.dev/internal/store/storetest"
)

// trial is a world in which one call goes wrong. It lives in a synctest bubble:
// time passes as soon as everybody waits for it, so the engine's own limits
// and pauses cost nothing, and a goroutine that outlives the engine fails the test.
type trial struct {
	t        *testing.T
	store    *storetest.Memory
	platform *fake.Platform
	watched  *watchedPlatform
	gateway  *gateway
	registry *fake.Registry
	routers  *routers
	builds   *builds

	plan    *fault.Plan
	before  atomic.Pointer[func(call string)] // sees every call to the store; may be nil
	applies abt2.Platform                     // what the engine is given; nil: watched
	engine  *release.Engine
	stop    context.CancelFunc
	served  chan error // one value: why the engine ended
}

func newTrial(t *testing.T) *trial {
	w := &trial{
		t: t, store: storetest.NewMemory("epoch"), platform: fake.NewPlatform(), gateway: &gateway{had: map[abt2.VersionID]bool{}},
		registry: fake.NewRegistry(), routers: &routers{changed: make(chan struct{})}, builds: &builds{held: map[string][]byte{}},
	}
	w.watched = &watchedPlatform{Platform: w.platform, gateway: w.gateway, ends: map[abt2.VersionID]time.Time{}}
	w.start(nil)
	t.Cleanup(w.end)
	return w
}

// start begins an engine on what is there. arm, which may be nil, is called
// before the engine's first call.
func (w *trial) start(arm func()) {
	w.plan = &fault.Plan{}
	platform := w.applies
	if platform == nil {
		platform = w.watched
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	if arm != nil {
		arm()
	}
	w.engine = release.New(release.Config{
		Store:     storetest.Guarded{Store: w.store, Call: w.call},
		Artifacts: guardedBuilds{w.builds, w.plan}, Platform: w.plan.Platform(platform),
		Edges:        []release.EdgeTarget{{ID: "edge-1", Edge: w.plan.Edge(w.gateway), Address: "127.0.0.1:8080"}},
		Registry:     w.plan.Registry(w.registry),
		Routers:      w.routers,
		DecodeModule: decodeModule,
		NewName:      func(context.Context, func(string) bool) (string, error) { return "127.0.0.1:18000", nil },
		EdgeURL:      "http://127.0.0.1:8080", Log: slog.New(slog.DiscardHandler),
	})
	served := make(chan error, 1)
	w.served = served
	engine := w.engine
	go func() { served <- engine.Serve(ctx) }()
}

func (w *trial) call(ctx context.Context, name string, effect func() error) error {
	if before := w.before.Load(); before != nil {
		(*before)(name)
	}
	return w.plan.Call(ctx, name, effect)
}

// end ends the engine, as kill does, and waits for all that belongs to it.
func (w *trial) end() {
	w.stop()
	<-w.served
}

// alive makes sure that an engine is at work: one that has ended is started
// again, as whoever supervises a server does.
func (w *trial) alive() {
	for {
		synctest.Wait()
		select {
		case <-w.served:
			w.stop()
			w.start(nil)
			continue
		default:
		}
		select {
		case <-w.engine.Ready():
			return
		case err := <-w.served:
			w.served <- err
		}
	}
}

// quiet lets so much time pass that nothing is left to be done, though a call
// may have been waited for in vain on the way.
func (w *trial) quiet() {
	w.alive()
	time.Sleep(3 * time.Minute)
	w.alive()
	synctest.Wait()
}

// calm lets the engine end what it is at work on, where nothing goes wrong.
func (w *trial) calm() {
	w.alive()
	time.Sleep(time.Second)
	synctest.Wait()
}

// operate runs a verb as an operator does: again until it succeeds.
func (w *trial) operate(q abt2.VerbRequest) {
	w.t.Helper()
	var errs []string
	for range 4 {
		w.alive()
		_, err := w.engine.Run(context.Background(), q, nil)
		if err == nil {
			return
		}
		errs = append(errs, err.Error())
	}
	w.t.Errorf("%s does not succeed:\n%s", q.Verb, strings.Join(errs, "\n"))
}

// verb is a request of ann that leaves every limit as it is by default.
func verb(v abt2.Verb) abt2.VerbRequest {
	return abt2.VerbRequest{By: abt2.By{Operator: "ann"}, Verb: v, Product: abt2.DefaultProduct, Yes: true}
}

// put opens a session, unless there is one, and puts builds of these modules,
// or of all.
func (w *trial) put(build string, only ...abt2.ModuleName) {
	w.t.Helper()
	w.alive()
	ctx, by := context.Background(), abt2.By{Operator: "ann"}
	s := w.state()
	if s.Session(abt2.DefaultProduct) == nil {
		if _, err := w.engine.Create(ctx, abt2.CreateRequest{By: by, Product: abt2.DefaultProduct}); err != nil {
			w.t.Fatal(err)
		}
	}
	q := abt2.PutRequest{By: by, Product: abt2.DefaultProduct, Init: len(s.Releases) == 0}
	for module, yaml := range map[abt2.ModuleName]string{"web": "kind=edge prefix=/", "order": "kind=service", "report": "kind=job"} {
		if len(only) > 0 && !slices.Contains(only, module) {
			continue
		}
		if q.Init && module != "report" {
			yaml += " instances=2"
		}
		a := artifactOf(string(module), string(module)+build)
		w.builds.hold(a, string(module)+build)
		q.Modules = append(q.Modules, abt2.PutModule{Module: module, Artifact: a, File: []byte(yaml)})
	}
	if _, err := w.engine.Put(ctx, q); err != nil {
		w.t.Fatal(err)
	}
}

func (w *trial) run(verbs ...abt2.Verb) {
	w.t.Helper()
	w.alive()
	for _, v := range verbs {
		if _, err := w.engine.Run(context.Background(), verb(v), nil); err != nil {
			w.t.Fatalf("%s: %v", v, err)
		}
	}
}

func (w *trial) state() *abt2.State {
	w.t.Helper()
	s, err := w.store.State(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// check asserts what must hold whatever went wrong on the way.
func (w *trial) check() {
	w.t.Helper()
	s := w.state()
	p := s.Products[abt2.DefaultProduct]
	if p.Intent != nil || p.Unsettled || len(p.Retiring) > 0 {
		w.t.Errorf("something is left: intent %+v, unsettled %t, retiring %v", p.Intent, p.Unsettled, p.Retiring)
	}
	w.gateway.checkInstances(w.t, w.platform) // first: to validate is to look again
	differences, err := w.engine.Validate(context.Background(), abt2.ValidateRequest{Product: abt2.DefaultProduct})
	if err != nil {
		w.t.Errorf("validate: %v", err)
	}
	for _, d := range differences {
		w.t.Errorf("%s %s should be %s, is %s", d.Part, d.Object, d.Should, d.Is)
	}
	w.gateway.checkTokens(w.t, s)
	for _, broken := range append(w.watched.broken(), w.gateway.broken()...) {
		w.t.Error(broken)
	}
}

// guardedBuilds are artifacts whose calls can go wrong, as far as verbs make them.
type guardedBuilds struct {
	*builds
	plan *fault.Plan
}

func (b guardedBuilds) Unpacked(ctx context.Context, a abt2.Artifact) (source string, err error) {
	err = b.plan.Call(ctx, "Artifacts.Unpacked", func() error {
		source, err = b.builds.Unpacked(ctx, a)
		return err
	})
	return source, err
}

func (b guardedBuilds) Remove(ctx context.Context, keep map[string]bool) (removed int, freed int64, err error) {
	err = b.plan.Call(ctx, "Artifacts.Remove", func() error {
		removed, freed, err = b.builds.Remove(ctx, keep)
		return err
	})
	return removed, freed, err
}

// applied is the last table that the process confirmed.
func (r *routers) applied() abt2.Mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark
}
