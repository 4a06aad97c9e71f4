package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"abt2.dev"
)

// fake is a service that answers from its fields and remembers what it was
// asked, a line for each call. Commands call from one goroutine.
type fake struct {
	calls strings.Builder

	err       error            // of every method that has no own one
	errs      map[string]error // by method; for Run by verb
	confirm   string           // what Run asks before it does anything without Yes
	start     abt2.StartAnswer
	session   abt2.Session
	has       map[string]bool // by digest
	answers   []abt2.PutAnswer
	plan      []abt2.PlanLine
	progress  []abt2.Progress
	outcome   abt2.Outcome
	steps     []string // of a dry run
	status    abt2.Status
	diffs     []abt2.Difference
	events    []abt2.Event
	fault     abt2.Fault
	envs      map[abt2.EnvironmentID]abt2.EnvironmentStatus
	logs      string
	lookup    abt2.Lookup
	called    abt2.CallAnswer
	group     abt2.Group
	modules   []abt2.ModuleStatus
	module    abt2.ModuleStatus
	groups    []abt2.Group
	backup    string // what is written before any error
	uploads   [][]byte
	puts      []abt2.PutRequest
	duringRun func(ctx context.Context) error
}

var _ abt2.Service = (*fake)(nil)

func (f *fake) note(method string, args ...any) error {
	fmt.Fprint(&f.calls, method)
	for _, a := range args {
		fmt.Fprintf(&f.calls, " %s", brief(a))
	}
	fmt.Fprintln(&f.calls)
	if err, ok := f.errs[method]; ok {
		return err
	}
	return f.err
}

func (f *fake) Start(_ context.Context, product abt2.ProductName) (abt2.StartAnswer, error) {
	return f.start, f.note("Start", product)
}

func (f *fake) Create(_ context.Context, r abt2.CreateRequest) (abt2.Session, error) {
	return f.session, f.note("Create", r)
}

func (f *fake) HasArtifact(_ context.Context, digest string) (bool, error) {
	return f.has[digest], f.note("HasArtifact", digest)
}

func (f *fake) Upload(_ context.Context, a abt2.Artifact, body io.Reader) error {
	if err := f.note("Upload", a); err != nil {
		return err
	}
	b, err := io.ReadAll(body)
	f.uploads = append(f.uploads, b)
	return err
}

func (f *fake) Put(_ context.Context, r abt2.PutRequest) ([]abt2.PutAnswer, error) {
	f.puts = append(f.puts, r)
	return f.answers, f.note("Put", r)
}

func (f *fake) Drop(_ context.Context, r abt2.ModuleRequest) error { return f.note("Drop", r) }

func (f *fake) SetProduct(_ context.Context, r abt2.ProductRequest) error {
	return f.note("SetProduct", r)
}

func (f *fake) Forget(_ context.Context, r abt2.ForgetRequest) error { return f.note("Forget", r) }

func (f *fake) Disturb(_ context.Context, r abt2.FaultRequest) (abt2.Fault, error) {
	return f.fault, f.note("Disturb", r)
}

func (f *fake) Remove(_ context.Context, r abt2.ModuleRequest) error { return f.note("Remove", r) }

func (f *fake) Plan(_ context.Context, r abt2.PlanRequest) ([]abt2.PlanLine, error) {
	return f.plan, f.note("Plan", r)
}

func (f *fake) Run(ctx context.Context, r abt2.VerbRequest, progress func(abt2.Progress)) (abt2.Outcome, error) {
	if err := f.note("Run", r); err != nil {
		return abt2.Outcome{}, err
	}
	if f.confirm != "" && !r.Yes && !r.DryRun {
		return abt2.Outcome{}, abt2.Errorf(abt2.CodeConfirm, "%s", f.confirm)
	}
	if r.DryRun {
		return abt2.Outcome{Verb: r.Verb, Steps: f.steps, Next: "abt2 status"}, nil
	}
	for _, p := range f.progress {
		progress(p)
	}
	o := f.outcome
	o.Verb = r.Verb
	if f.duringRun != nil {
		return abt2.Outcome{}, f.duringRun(ctx)
	}
	if err, ok := f.errs[string(r.Verb)]; ok {
		return o, err
	}
	return o, nil
}

func (f *fake) Status(_ context.Context, product abt2.ProductName) (abt2.Status, error) {
	return f.status, f.note("Status", product)
}

func (f *fake) Validate(_ context.Context, r abt2.ValidateRequest) ([]abt2.Difference, error) {
	return f.diffs, f.note("Validate", r)
}

func (f *fake) History(_ context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	return f.events, f.note("History", product, limit)
}

func (f *fake) Environment(_ context.Context, id abt2.EnvironmentID) (abt2.EnvironmentStatus, error) {
	if err := f.note("Environment", id); err != nil {
		return abt2.EnvironmentStatus{}, err
	}
	e, ok := f.envs[id]
	if !ok {
		return e, abt2.Errorf(abt2.CodeNotFound, "environment %s: does not exist; abt2 history lists them", id)
	}
	return e, nil
}

func (f *fake) Call(_ context.Context, r abt2.CallRequest) (abt2.CallAnswer, error) {
	return f.called, f.note("Call", r)
}

func (f *fake) Lookup(ctx context.Context, r abt2.LookupRequest) (abt2.Lookup, error) {
	if err := f.note("Lookup", r); err != nil {
		return abt2.Lookup{}, err
	}
	if r.Seen == f.lookup.Digest && r.Wait > 0 {
		<-ctx.Done()
		return abt2.Lookup{}, ctx.Err()
	}
	return f.lookup, nil
}

func (f *fake) Groups(_ context.Context, product abt2.ProductName) ([]abt2.Group, error) {
	return f.groups, f.note("Groups", product)
}

func (f *fake) ChangeGroup(_ context.Context, r abt2.GroupRequest) (abt2.Group, error) {
	return f.group, f.note("ChangeGroup", r)
}

func (f *fake) Modules(_ context.Context, r abt2.ModulesRequest) ([]abt2.ModuleStatus, error) {
	return f.modules, f.note("Modules", r)
}

func (f *fake) ChangeModule(_ context.Context, r abt2.ChangeModuleRequest) (abt2.ModuleStatus, error) {
	return f.module, f.note("ChangeModule", r)
}

func (f *fake) Logs(ctx context.Context, r abt2.LogsRequest, w io.Writer) error {
	if err := f.note("Logs", r); err != nil {
		return err
	}
	if _, err := io.WriteString(w, f.logs); err != nil || !r.Follow {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Backup(_ context.Context, w io.Writer) error {
	err := f.note("Backup")
	if _, bad := io.WriteString(w, f.backup); bad != nil {
		return bad
	}
	return err
}

// brief is v as JSON without what is zero.
func brief(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	if json.Unmarshal(b, &fields) != nil {
		return string(b)
	}
	b, err = json.Marshal(meant(fields))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func meant(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil || e == false || e == 0.0 || e == "" {
				delete(v, k)
			} else {
				v[k] = meant(e)
			}
		}
	case []any:
		for i := range v {
			v[i] = meant(v[i])
		}
	}
	return v
}

// now is the moment at which all tests happen.
var now = time.Date(2026, 3, 4, 15, 6, 7, 0, time.FixedZone("CST", 8*3600))

func ago(d time.Duration) time.Time { return now.Add(-d) }

func version(s string) abt2.VersionID {
	v, err := abt2.ParseVersionID(s)
	if err != nil {
		panic(err)
	}
	return v
}

func versions(list ...string) map[abt2.ModuleName]abt2.VersionID {
	out := map[abt2.ModuleName]abt2.VersionID{}
	for _, s := range list {
		v := version(s)
		out[v.Module] = v
	}
	return out
}
