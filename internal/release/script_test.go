package release_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/driver/fake"
	"abt2.dev/internal/release"
	"abt2.dev/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScripts runs testdata/*: each line is a command of an operator, or of
// fate, and its output is what the operator reads. go test -rewrite renews them.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) { // limits pass as soon as everybody waits for them
			w := newWorld(t)
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return w.do(t, d) })
		})
	})
}

// world is an engine with everything around it in memory.
type world struct {
	store    *storetest.Memory
	platform *fake.Platform
	edge     *edge
	routers  *routers
	builds   *builds
	faults   release.Faults
	hooks    *hooks
	engine   *release.Engine
	stop     func()

	met   map[string]string // instances, by id
	metOf map[string]int    // how many, by version
}

func newWorld(t *testing.T) *world {
	w := &world{
		store: storetest.NewMemory("epoch"), platform: fake.NewPlatform(), edge: &edge{}, routers: &routers{changed: make(chan struct{})},
		builds: &builds{held: map[string][]byte{}}, met: map[string]string{}, metOf: map[string]int{}, hooks: &hooks{},
	}
	w.start(t)
	t.Cleanup(func() { w.stop() })
	return w
}

// start begins an engine on what is there, as a server that starts does.
func (w *world) start(t *testing.T) {
	w.engine = release.New(release.Config{
		Store: w.store, Artifacts: w.builds, Platform: w.platform,
		Edges:    []release.EdgeTarget{{ID: "edge-1", Edge: w.edge, Address: "127.0.0.1:8080"}},
		Registry: registry{w.edge}, Routers: w.routers,
		DecodeModule: decodeModule,
		NewName: func(_ context.Context, taken func(string) bool) (string, error) {
			for port := 18000; ; port++ {
				if a := "127.0.0.1:" + strconv.Itoa(port); !taken(a) {
					return a, nil
				}
			}
		},
		Own: func(address string) string {
			if address == "127.0.0.1:8080" {
				return "the edge's own"
			}
			return ""
		},
		EdgeURL: "http://127.0.0.1:8080", Faults: w.faults, Hooks: w.hooks, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.engine.Serve(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the engine ended with %v", err)
		}
	})
	select {
	case <-w.engine.Ready():
	case err := <-done:
		t.Fatalf("the engine ended before it was ready: %v", err)
	}
}

// do runs one command of a script.
func (w *world) do(t *testing.T, d *datadriven.TestData) string {
	ctx, cancel := context.WithTimeout(abt2.WithIdentity(context.Background(), "test"), 20*time.Second)
	defer cancel()
	by := abt2.By{Operator: "ann"}
	var modules []abt2.ModuleName
	var limit time.Duration
	req := abt2.VerbRequest{}
	var err error
	for _, arg := range d.CmdArgs {
		switch {
		case arg.Key == "op":
			by.Operator = strings.Join(arg.Vals, "")
		case arg.Key == "takeover":
			by.Takeover = true
		case arg.Key == "yes":
			req.Yes = true
		case arg.Key == "dry":
			req.DryRun = true
		case arg.Key == "force":
			req.Force = true
		case arg.Key == "prune":
			req.Prune = true
		case arg.Key == "share":
			if req.Share, err = abt2.ParseShare(arg.Vals[0]); err != nil {
				return err.Error() + "\n"
			}
		case arg.Key == "within":
			limit, _ = time.ParseDuration(arg.Vals[0])
		case len(arg.Vals) == 0:
			modules = append(modules, abt2.ModuleName(arg.Key))
		}
	}
	req.By, req.Verb, req.Product, req.Modules = by, abt2.Verb(d.Cmd), abt2.DefaultProduct, modules
	req.AckTimeout, req.DrainTimeout, req.SettleTimeout = limit, limit, limit

	var out strings.Builder
	switch d.Cmd {
	case "start":
		var a abt2.StartAnswer
		if a, err = w.engine.Start(ctx, abt2.DefaultProduct); err == nil {
			fmt.Fprintf(&out, "free: %v\n", a.Free)
			for _, s := range a.Parked {
				fmt.Fprintf(&out, "session %d of %s is %s\n", s.ID, s.Operator, s.State)
			}
		}
	case "create":
		var s abt2.Session
		s, err = w.engine.Create(ctx, abt2.CreateRequest{By: by, Product: abt2.DefaultProduct})
		if err == nil {
			fmt.Fprintf(&out, "session %d of %s on environment %d\n", s.ID, s.Operator, s.Base)
		}
	case "put":
		err = w.put(ctx, &out, d, by)
	case "drop":
		err = w.engine.Drop(ctx, abt2.ModuleRequest{By: by, Product: abt2.DefaultProduct, Modules: modules})
	case "remove":
		err = w.engine.Remove(ctx, abt2.ModuleRequest{By: by, Product: abt2.DefaultProduct, Modules: modules})
	case "plan":
		var lines []abt2.PlanLine
		lines, err = w.engine.Plan(ctx, abt2.PlanRequest{By: by, Product: abt2.DefaultProduct})
		for _, l := range lines {
			fmt.Fprintf(&out, "%s: %s → %s %s\n", l.Module, or(l.From.String(), "none"), or(l.To.String(), "none"), strings.TrimSuffix(string(l.State)+": "+l.Detail, ": "))
		}
	case "ship", "unship", "commit", "rollback", "clean", "refresh", "park", "unpark":
		if d.HasArg("session") {
			var id uint64
			d.ScanArgs(t, "session", &id)
			req.Session = abt2.SessionID(id)
		}
		err = w.verb(ctx, &out, req)
	case "scale":
		req.Modules, req.Scale = nil, map[abt2.ModuleName]int{}
		for _, arg := range d.CmdArgs {
			if len(arg.Vals) == 1 && arg.Key != "op" {
				req.Scale[abt2.ModuleName(arg.Key)], _ = strconv.Atoi(arg.Vals[0])
			}
		}
		err = w.verb(ctx, &out, req)
	case "status":
		err = w.status(ctx, &out)
	case "validate":
		var list []abt2.Difference
		list, err = w.engine.Validate(ctx, abt2.ValidateRequest{Product: abt2.DefaultProduct})
		for _, x := range list {
			meant := ""
			if x.Meant {
				meant = ", as meant"
			}
			fmt.Fprintf(&out, "%s %s: should be %s, is %s%s\n", x.Part, x.Object, x.Should, x.Is, meant)
		}
	case "history":
		var list []abt2.Event
		list, err = w.engine.History(ctx, abt2.DefaultProduct, 0)
		for _, x := range list {
			fmt.Fprintf(&out, "%s: %s %d → %d %s\n", x.Operator, x.Verb, x.From, x.To, x.Text)
		}
	case "skew":
		var keep abt2.Duration
		if err = keep.UnmarshalText([]byte(modules[0])); err == nil {
			err = w.engine.SetProduct(ctx, abt2.ProductRequest{By: by, Product: abt2.DefaultProduct, Skew: &keep, DryRun: req.DryRun})
		}
	case "served":
		w.edgeFollows(ctx)
		out.WriteString(w.edge.describe())
	case "restart":
		w.stop()
		w.start(t)
	case "allow-faults":
		w.stop()
		w.faults = faults{}
		w.start(t)
	case "disturb":
		q := abt2.FaultRequest{By: by, Product: abt2.DefaultProduct, Kind: abt2.FaultKind(modules[0]), For: limit}
		if d.HasArg("pick") {
			d.ScanArgs(t, "pick", &q.Pick)
		}
		var f abt2.Fault
		if f, err = w.engine.Disturb(ctx, q); err == nil {
			fmt.Fprintln(&out, f)
		}
	case "name":
		err = w.lookup(ctx, &out, string(modules[0]))
	case "group":
		q := abt2.GroupRequest{By: by, Product: abt2.DefaultProduct, Change: abt2.GroupChange(modules[0]), Group: abt2.GroupName(modules[1]), Modules: modules[2:], DryRun: req.DryRun}
		var g abt2.Group
		if g, err = w.engine.ChangeGroup(ctx, q); err == nil {
			fmt.Fprintf(&out, "%s: %v\n", g.Name, g.Modules)
		}
	case "instance":
		req.Verb, req.Modules = abt2.Verb("instance "+d.CmdArgs[0].Key), nil
		for _, name := range modules[1:] {
			req.Instances = append(req.Instances, w.instanceNamed(string(name)))
		}
		err = w.verb(ctx, &out, req)
	case "module":
		err = w.module(ctx, &out, d, by, req.DryRun)
	case "sick", "well":
		v, parseErr := abt2.ParseVersionID(string(modules[0]))
		if parseErr != nil {
			t.Fatalf("%s: %v", d.Pos, parseErr)
		}
		w.platform.SetUnhealthy(v, d.Cmd == "sick")
		err = w.noticed(ctx, v, d.Cmd == "sick")
	case "stray":
		// Somebody starts what abt2 never heard of.
		stray := abt2.Workload{Version: abt2.Version{ID: abt2.VersionID{Module: modules[0], Number: 1}}, Scale: 1}
		err = w.platform.Apply(ctx, stray)
	case "lose":
		// Somebody ends what abt2 started.
		v, parseErr := abt2.ParseVersionID(string(modules[0]))
		if parseErr != nil {
			t.Fatalf("%s: %v", d.Pos, parseErr)
		}
		err = w.platform.Remove(ctx, v)
	case "edge":
		w.edge.cut(len(modules) > 0 && modules[0] == "down")
		w.edge.mu.Lock()
		w.edge.unable = len(modules) > 0 && modules[0] == "unable"
		w.edge.mu.Unlock()
	case "drift":
		var to uint64
		d.ScanArgs(t, "to", &to)
		w.edge.drift(abt2.EnvironmentID(to))
	case "router":
		w.routers.trouble(string(modules[0]))
	case "forget":
		err = w.engine.Forget(ctx, abt2.ForgetRequest{By: by, Product: abt2.DefaultProduct, Router: string(modules[0])})
	case "carry":
		var env, n uint64
		d.ScanArgs(t, "env", &env)
		d.ScanArgs(t, "requests", &n)
		w.routers.carry(abt2.EnvironmentID(env), int(n))
	default:
		t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	}
	if err != nil {
		fmt.Fprintf(&out, "%s: %v\n", abt2.CodeOf(err), err)
	}
	if out.Len() == 0 {
		return "ok\n"
	}
	return instanceID.ReplaceAllStringFunc(clock.ReplaceAllString(revision.ReplaceAllString(out.String(), "revision N"), "TIME"), w.nameInstance)
}

// noticed waits until the engine knows the version's instances as unhealthy, or
// none of them.
func (w *world) noticed(ctx context.Context, v abt2.VersionID, unhealthy bool) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		s, err := w.engine.Status(ctx, abt2.DefaultProduct)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Instances, func(i abt2.InstanceStatus) bool {
			return i.Version == v && (i.State == abt2.InstanceHealthy && unhealthy || i.State == abt2.InstanceUnhealthy && !unhealthy)
		}) {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// edgeFollows waits until the edge serves what was published last, unless it is
// kept from that.
func (w *world) edgeFollows(ctx context.Context) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for ctx.Err() == nil {
		w.edge.mu.Lock()
		done := w.edge.down || w.edge.unable || w.edge.held != nil || w.edge.routes.Table.Mark == w.routers.applied()
		w.edge.mu.Unlock()
		if done {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

// nameInstance counts the instances of each version as they are first met:
// their own numbers depend on which of several versions was started first.
func (w *world) nameInstance(id string) string {
	if w.met[id] == "" {
		version := id[:strings.LastIndexByte(id, '-')+1]
		w.met[id] = version + string(rune('a'+w.metOf[version]))
		w.metOf[version]++
	}
	return w.met[id]
}

// instanceNamed is the instance that nameInstance gave the name to.
func (w *world) instanceNamed(name string) abt2.InstanceID {
	for id, n := range w.met {
		if n == name {
			return abt2.InstanceID(id)
		}
	}
	return abt2.InstanceID(name)
}

var instanceID = regexp.MustCompile(`\b[a-z]+-\d+-\d+\b`)

// clock is when something was done.
var clock = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// revision is a number that depends on how many changes were published as one.
var revision = regexp.MustCompile(`revision \d+`)

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// put uploads made-up builds: one line each, MODULE BUILD [YAML]; - is no build.
func (w *world) put(ctx context.Context, out io.Writer, d *datadriven.TestData, by abt2.By) error {
	q := abt2.PutRequest{By: by, Product: abt2.DefaultProduct, Init: d.HasArg("init")}
	for line := range strings.Lines(d.Input) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		m := abt2.PutModule{Module: abt2.ModuleName(f[0])}
		if f[1] != "-" { // no build
			m.Artifact = artifactOf(f[0], f[1])
			if err := w.engine.Upload(ctx, m.Artifact, strings.NewReader(f[1])); err != nil {
				return err
			}
		}
		if len(f) > 2 {
			m.File = []byte(f[2])
		}
		q.Modules = append(q.Modules, m)
	}
	answers, err := w.engine.Put(ctx, q)
	if err != nil {
		return err
	}
	for _, a := range answers {
		fmt.Fprintf(out, "%s", a.Version)
		if a.Same {
			fmt.Fprint(out, " is online already")
		}
		for _, c := range a.Changes {
			fmt.Fprintf(out, " %s:%s→%s", c.Field, c.From, c.To)
		}
		fmt.Fprintln(out)
	}
	return nil
}

func (w *world) verb(ctx context.Context, out io.Writer, q abt2.VerbRequest) error {
	got, err := w.engine.Run(ctx, q, nil)
	for _, s := range got.Steps {
		fmt.Fprintln(out, s)
	}
	for _, s := range got.Warnings {
		fmt.Fprintln(out, "warning:", s)
	}
	for _, s := range got.Unconfirmed {
		fmt.Fprintln(out, "unconfirmed:", s)
	}
	if err != nil || q.DryRun {
		return err
	}
	same := ""
	if got.Same {
		same = " already"
	}
	share := ""
	if got.Share != 0 {
		share = " for " + got.Share.String()
	}
	fmt.Fprintf(out, "%s%s%s: %d → %d\nnext: %s\n", q.Verb, share, same, got.From, got.To, got.Next)
	return nil
}

// module creates, deletes, shows or lists modules.
func (w *world) module(ctx context.Context, out io.Writer, d *datadriven.TestData, by abt2.By, dryRun bool) error {
	q := abt2.ChangeModuleRequest{By: by, Product: abt2.DefaultProduct, Change: abt2.ModuleChange(d.CmdArgs[0].Key), DryRun: dryRun}
	var err error
	for i, arg := range d.CmdArgs {
		switch {
		case arg.Key == "instances":
			if q.Scale, err = strconv.Atoi(arg.Vals[0]); err != nil {
				return err
			}
		case i == 1:
			q.Module = abt2.ModuleName(arg.Key)
		}
	}
	var list []abt2.ModuleStatus
	if q.Change == "list" || q.Change == "show" {
		list, err = w.engine.Modules(ctx, abt2.ModulesRequest{Module: q.Module})
	} else {
		list = make([]abt2.ModuleStatus, 1)
		list[0], err = w.engine.ChangeModule(ctx, q)
	}
	if err != nil {
		return err
	}
	for _, m := range list {
		fmt.Fprintf(out, "%s: %s × %d, released %s, %s at %s\n", m.Name, or(string(m.Kind), "no build"), m.Scale, or(m.Released.String(), "never"), or(string(m.Owner), "nobody's"), or(m.Address, "no name"))
		for _, v := range m.Versions {
			fmt.Fprintf(out, "  %s %v %d of %d %s\n", v.ID, v.Tags, v.Healthy, v.Want, strings.Join(v.External, ","))
		}
	}
	return nil
}

// lookup lists what stands under a name; a star marks what is to be called.
func (w *world) lookup(ctx context.Context, out io.Writer, s string) error {
	name, number, err := abt2.ParseLookup(s)
	if err != nil {
		return err
	}
	l, err := w.engine.Lookup(ctx, abt2.LookupRequest{Product: abt2.DefaultProduct, Name: name, Number: number})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v\n", l.Versions)
	for _, i := range l.Instances {
		mark := ' '
		if i.Callable {
			mark = '*'
		}
		fmt.Fprintf(out, "%c %s %s %v\n", mark, i.ID, i.State, i.Tags)
	}
	return nil
}

func (w *world) status(ctx context.Context, out io.Writer) error {
	s, err := w.engine.Status(ctx, abt2.DefaultProduct)
	if err != nil {
		return err
	}
	if s.Session != nil && s.Session.Share != 0 {
		fmt.Fprintf(out, "%s of the visitors are in the preview\n", s.Session.Share)
	}
	if s.Skew != 0 {
		fmt.Fprintf(out, "pages are kept for %s\n", s.Skew)
	}
	for _, l := range s.Limits {
		fmt.Fprintf(out, "limit: %s\n", l)
	}
	envs := []*abt2.EnvironmentStatus{s.Online, s.Preview, s.Backup}
	for _, p := range s.Parked {
		fmt.Fprintf(out, "session %d of %s is %s\n", p.ID, p.Operator, p.State)
		envs = append(envs, p.Preview)
	}
	for _, e := range envs {
		if e == nil {
			continue
		}
		fmt.Fprintf(out, "%s %d:", e.Role, e.ID)
		for _, m := range []abt2.ModuleName{"web", "order", "stock", "report", "sweep"} {
			if v, ok := e.Modules[m]; ok {
				fmt.Fprintf(out, " %s", v)
			}
		}
		if e.Cookie != "" {
			fmt.Fprint(out, " with cookie")
		}
		fmt.Fprintln(out)
	}
	for _, i := range s.Instances {
		if i.External {
			fmt.Fprintf(out, "  %s %s at %s, external\n", i.Version, i.State, i.Address)
			continue
		}
		fmt.Fprintf(out, "  %s %s", i.Version, i.State)
		if i.State == abt2.InstanceStopped {
			fmt.Fprintf(out, " (%s) %s", i.ID, i.Detail)
		}
		fmt.Fprintln(out)
	}
	for _, n := range s.Names {
		fmt.Fprintf(out, "name %s at %s: %s\n", n.Module, n.Address, or(n.Version.String(), "nothing"))
	}
	return nil
}
