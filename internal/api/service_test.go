package api_test

import (
	"context"
	"io"
	"net/http"

	"abt2.dev"
)

// recorder is a service that remembers what it was asked and answers what it
// was told to.
type recorder struct {
	calls    []call
	identity string

	err      error
	start    abt2.StartAnswer
	session  abt2.Session
	has      bool
	answers  []abt2.PutAnswer
	plan     []abt2.PlanLine
	progress []abt2.Progress
	outcome  abt2.Outcome
	status   abt2.Status
	diffs    []abt2.Difference
	events   []abt2.Event
	env      abt2.EnvironmentStatus
	fault    abt2.Fault
	lookup   abt2.Lookup
	called   abt2.CallAnswer
	groups   []abt2.Group
	group    abt2.Group
	modules  []abt2.ModuleStatus
	module   abt2.ModuleStatus
	logs     []string
	backup   []string // what is written before err
	uploaded []byte
	run      func(ctx context.Context) error // instead of err
}

type call struct {
	Method string
	Args   []any
}

var _ abt2.Service = (*recorder)(nil)

func (r *recorder) note(ctx context.Context, method string, args ...any) {
	r.calls = append(r.calls, call{method, args})
	r.identity = abt2.IdentityOf(ctx)
}

func (r *recorder) Start(ctx context.Context, product abt2.ProductName) (abt2.StartAnswer, error) {
	r.note(ctx, "Start", product)
	return r.start, r.err
}

func (r *recorder) Create(ctx context.Context, q abt2.CreateRequest) (abt2.Session, error) {
	r.note(ctx, "Create", q)
	return r.session, r.err
}

func (r *recorder) HasArtifact(ctx context.Context, digest string) (bool, error) {
	r.note(ctx, "HasArtifact", digest)
	return r.has, r.err
}

func (r *recorder) Upload(ctx context.Context, a abt2.Artifact, body io.Reader) error {
	r.note(ctx, "Upload", a)
	if r.err != nil {
		return r.err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "upload broke off")
	}
	r.uploaded = b
	return nil
}

func (r *recorder) Put(ctx context.Context, q abt2.PutRequest) ([]abt2.PutAnswer, error) {
	r.note(ctx, "Put", q)
	return r.answers, r.err
}

func (r *recorder) Drop(ctx context.Context, q abt2.ModuleRequest) error {
	r.note(ctx, "Drop", q)
	return r.err
}

func (r *recorder) SetProduct(ctx context.Context, q abt2.ProductRequest) error {
	r.note(ctx, "SetProduct", q)
	return r.err
}

func (r *recorder) Forget(ctx context.Context, q abt2.ForgetRequest) error {
	r.note(ctx, "Forget", q)
	return r.err
}

func (r *recorder) Disturb(ctx context.Context, q abt2.FaultRequest) (abt2.Fault, error) {
	r.note(ctx, "Disturb", q)
	return r.fault, r.err
}

func (r *recorder) Remove(ctx context.Context, q abt2.ModuleRequest) error {
	r.note(ctx, "Remove", q)
	return r.err
}

func (r *recorder) Plan(ctx context.Context, q abt2.PlanRequest) ([]abt2.PlanLine, error) {
	r.note(ctx, "Plan", q)
	return r.plan, r.err
}

func (r *recorder) Run(ctx context.Context, q abt2.VerbRequest, progress func(abt2.Progress)) (abt2.Outcome, error) {
	r.note(ctx, "Run", q)
	for _, p := range r.progress {
		progress(p)
	}
	if r.run != nil {
		return r.outcome, r.run(ctx)
	}
	return r.outcome, r.err
}

func (r *recorder) Status(ctx context.Context, product abt2.ProductName) (abt2.Status, error) {
	r.note(ctx, "Status", product)
	return r.status, r.err
}

func (r *recorder) Validate(ctx context.Context, q abt2.ValidateRequest) ([]abt2.Difference, error) {
	r.note(ctx, "Validate", q)
	return r.diffs, r.err
}

func (r *recorder) History(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	r.note(ctx, "History", product, limit)
	return r.events, r.err
}

func (r *recorder) Environment(ctx context.Context, id abt2.EnvironmentID) (abt2.EnvironmentStatus, error) {
	r.note(ctx, "Environment", id)
	return r.env, r.err
}

func (r *recorder) Lookup(ctx context.Context, q abt2.LookupRequest) (abt2.Lookup, error) {
	r.note(ctx, "Lookup", q)
	return r.lookup, r.err
}

func (r *recorder) Call(ctx context.Context, q abt2.CallRequest) (abt2.CallAnswer, error) {
	r.note(ctx, "Call", q)
	return r.called, r.err
}

func (r *recorder) Groups(ctx context.Context, product abt2.ProductName) ([]abt2.Group, error) {
	r.note(ctx, "Groups", product)
	return r.groups, r.err
}

func (r *recorder) ChangeGroup(ctx context.Context, q abt2.GroupRequest) (abt2.Group, error) {
	r.note(ctx, "ChangeGroup", q)
	return r.group, r.err
}

func (r *recorder) Modules(ctx context.Context, q abt2.ModulesRequest) ([]abt2.ModuleStatus, error) {
	r.note(ctx, "Modules", q)
	return r.modules, r.err
}

func (r *recorder) ChangeModule(ctx context.Context, q abt2.ChangeModuleRequest) (abt2.ModuleStatus, error) {
	r.note(ctx, "ChangeModule", q)
	return r.module, r.err
}

func (r *recorder) Logs(ctx context.Context, q abt2.LogsRequest, w io.Writer) error {
	r.note(ctx, "Logs", q)
	for _, l := range r.logs {
		if _, err := io.WriteString(w, l); err != nil {
			return err
		}
	}
	return r.err
}

func (r *recorder) Backup(ctx context.Context, w io.Writer) error {
	r.note(ctx, "Backup")
	for _, b := range r.backup {
		if _, err := io.WriteString(w, b); err != nil {
			return err
		}
	}
	if r.err == http.ErrAbortHandler {
		panic(r.err) // as a server that is killed
	}
	return r.err
}
