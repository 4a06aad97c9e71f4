package api

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"reflect"

	"connectrpc.com/connect"

	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
	"abt2.dev/proto/abt2/v1/abt2v1connect"
)

// Limits of what one request may bring, unless an Option says otherwise.
const (
	maxMessage  = 4 << 20
	maxArtifact = 4 << 30
)

// Option changes what NewHandler makes.
type Option func(*options)

type options struct {
	hosts       []string
	certificate *x509.Certificate
	maxArtifact int64
}

// AllowHosts names Host headers, with port where it is not the scheme's, that
// are accepted beside loopback names with the listener's port.
func AllowHosts(hosts ...string) Option {
	return func(o *options) { o.hosts = append(o.hosts, hosts...) }
}

// AllowCertified accepts, of what has come by TLS, Host headers that the server's
// certificate names, with the listener's port. Nil: none.
func AllowCertified(c *x509.Certificate) Option {
	return func(o *options) { o.certificate = c }
}

// MaxArtifact bounds an upload, in bytes. Without it the bound is 4 GiB.
func MaxArtifact(n int64) Option {
	return func(o *options) { o.maxArtifact = n }
}

// NewHandler serves svc: the calls of abt2.v1.OperatorService, and the artifacts
// and names beside them. Every request must carry a credential that auth knows; its
// identity is in the context that svc gets (abt2.IdentityOf). Requests whose
// Host or Origin is not the server's own are refused before that.
//
// Run and Logs stream for as long as they take, and lookups may wait: the http.Server must not have a
// WriteTimeout. Plain gRPC clients need it to speak unencrypted HTTP/2.
func NewHandler(svc abt2.Service, auth Authenticator, log *slog.Logger, opts ...Option) http.Handler {
	o := options{maxArtifact: maxArtifact}
	for _, opt := range opts {
		opt(&o)
	}
	mux := http.NewServeMux()
	mux.Handle(abt2v1connect.NewOperatorServiceHandler(
		&rpcs{svc},
		connect.WithInterceptors(&watch{log}),
		connect.WithReadMaxBytes(maxMessage),
	))
	a := &artifacts{svc: svc, log: log, max: o.maxArtifact, errors: connect.NewErrorWriter()}
	mux.HandleFunc("HEAD "+artifactPath+"{sha256}", a.head)
	mux.HandleFunc("PUT "+artifactPath+"{sha256}", a.put)
	mux.Handle("GET "+namesPath+"{product}/{name}", &names{svc: svc, log: log, errors: connect.NewErrorWriter()})
	mux.Handle("GET "+backupPath, &backups{svc: svc, log: log, errors: connect.NewErrorWriter()})
	return &guard{auth: auth, hosts: o.hosts, certificate: o.certificate, log: log, errors: connect.NewErrorWriter(), next: mux}
}

// rpcs answers the calls by the service. The errors it returns are the
// service's own; watch makes wire errors of them.
type rpcs struct{ svc abt2.Service }

var _ abt2v1connect.OperatorServiceHandler = (*rpcs)(nil)

func (h *rpcs) Start(ctx context.Context, req *connect.Request[abt2v1.StartRequest]) (*connect.Response[abt2v1.StartResponse], error) {
	a, err := h.svc.Start(ctx, abt2.ProductName(req.Msg.GetProduct()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(startAnswerToWire(a)), nil
}

func (h *rpcs) Create(ctx context.Context, req *connect.Request[abt2v1.CreateRequest]) (*connect.Response[abt2v1.CreateResponse], error) {
	s, err := h.svc.Create(ctx, createRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.CreateResponse{Session: sessionToWire(&s)}), nil
}

func (h *rpcs) Put(ctx context.Context, req *connect.Request[abt2v1.PutRequest]) (*connect.Response[abt2v1.PutResponse], error) {
	answers, err := h.svc.Put(ctx, putRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.PutResponse{Answers: each(answers, putAnswerToWire)}), nil
}

func (h *rpcs) Drop(ctx context.Context, req *connect.Request[abt2v1.DropRequest]) (*connect.Response[abt2v1.DropResponse], error) {
	if err := h.svc.Drop(ctx, moduleRequestFromWire(req.Msg)); err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.DropResponse{}), nil
}

func (h *rpcs) SetProduct(ctx context.Context, req *connect.Request[abt2v1.SetProductRequest]) (*connect.Response[abt2v1.SetProductResponse], error) {
	r := req.Msg
	err := h.svc.SetProduct(ctx, abt2.ProductRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()), Skew: optionalDurationFromWire(r.GetSkew()), DryRun: r.GetDryRun(),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.SetProductResponse{}), nil
}

func (h *rpcs) Forget(ctx context.Context, req *connect.Request[abt2v1.ForgetRequest]) (*connect.Response[abt2v1.ForgetResponse], error) {
	r := req.Msg
	err := h.svc.Forget(ctx, abt2.ForgetRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()), Router: r.GetRouter(), DryRun: r.GetDryRun(),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.ForgetResponse{}), nil
}

func (h *rpcs) Disturb(ctx context.Context, req *connect.Request[abt2v1.DisturbRequest]) (*connect.Response[abt2v1.DisturbResponse], error) {
	f, err := h.svc.Disturb(ctx, faultRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.DisturbResponse{Fault: faultToWire(f)}), nil
}

func (h *rpcs) Remove(ctx context.Context, req *connect.Request[abt2v1.RemoveRequest]) (*connect.Response[abt2v1.RemoveResponse], error) {
	if err := h.svc.Remove(ctx, moduleRequestFromWire(req.Msg)); err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.RemoveResponse{}), nil
}

func (h *rpcs) Plan(ctx context.Context, req *connect.Request[abt2v1.PlanRequest]) (*connect.Response[abt2v1.PlanResponse], error) {
	lines, err := h.svc.Plan(ctx, abt2.PlanRequest{By: byFromWire(req.Msg.GetBy()), Product: abt2.ProductName(req.Msg.GetProduct())})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.PlanResponse{Lines: each(lines, planLineToWire)}), nil
}

func (h *rpcs) Run(ctx context.Context, req *connect.Request[abt2v1.RunRequest], stream *connect.ServerStream[abt2v1.RunResponse]) error {
	// A caller that has gone away makes Send fail and ends ctx: nothing to do here.
	outcome, err := h.svc.Run(ctx, verbRequestFromWire(req.Msg), func(p abt2.Progress) {
		_ = stream.Send(&abt2v1.RunResponse{Event: &abt2v1.RunResponse_Progress{Progress: progressToWire(p)}})
	})
	// What is known of the outcome travels before the error, as Go returns both.
	if err == nil || !reflect.ValueOf(outcome).IsZero() {
		_ = stream.Send(&abt2v1.RunResponse{Event: &abt2v1.RunResponse_Outcome{Outcome: outcomeToWire(outcome)}})
	}
	return err
}

func (h *rpcs) Status(ctx context.Context, req *connect.Request[abt2v1.StatusRequest]) (*connect.Response[abt2v1.StatusResponse], error) {
	s, err := h.svc.Status(ctx, abt2.ProductName(req.Msg.GetProduct()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.StatusResponse{Status: statusToWire(s)}), nil
}

func (h *rpcs) Validate(ctx context.Context, req *connect.Request[abt2v1.ValidateRequest]) (*connect.Response[abt2v1.ValidateResponse], error) {
	diffs, err := h.svc.Validate(ctx, validateRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.ValidateResponse{Differences: each(diffs, differenceToWire)}), nil
}

func (h *rpcs) History(ctx context.Context, req *connect.Request[abt2v1.HistoryRequest]) (*connect.Response[abt2v1.HistoryResponse], error) {
	events, err := h.svc.History(ctx, abt2.ProductName(req.Msg.GetProduct()), int(req.Msg.GetLimit()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.HistoryResponse{Events: each(events, eventToWire)}), nil
}

func (h *rpcs) Environment(ctx context.Context, req *connect.Request[abt2v1.EnvironmentRequest]) (*connect.Response[abt2v1.EnvironmentResponse], error) {
	e, err := h.svc.Environment(ctx, abt2.EnvironmentID(req.Msg.GetId()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.EnvironmentResponse{Environment: environmentToWire(&e)}), nil
}

func (h *rpcs) Lookup(ctx context.Context, req *connect.Request[abt2v1.LookupRequest]) (*connect.Response[abt2v1.LookupResponse], error) {
	l, err := h.svc.Lookup(ctx, lookupRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.LookupResponse{Lookup: lookupToWire(l)}), nil
}

func (h *rpcs) Call(ctx context.Context, req *connect.Request[abt2v1.CallRequest]) (*connect.Response[abt2v1.CallResponse], error) {
	a, err := h.svc.Call(ctx, callRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(callAnswerToWire(a)), nil
}

func (h *rpcs) Groups(ctx context.Context, req *connect.Request[abt2v1.GroupsRequest]) (*connect.Response[abt2v1.GroupsResponse], error) {
	list, err := h.svc.Groups(ctx, abt2.ProductName(req.Msg.GetProduct()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.GroupsResponse{Groups: each(list, groupToWire)}), nil
}

func (h *rpcs) ChangeGroup(ctx context.Context, req *connect.Request[abt2v1.ChangeGroupRequest]) (*connect.Response[abt2v1.ChangeGroupResponse], error) {
	g, err := h.svc.ChangeGroup(ctx, groupRequestFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.ChangeGroupResponse{Group: groupToWire(g)}), nil
}

func (h *rpcs) Modules(ctx context.Context, req *connect.Request[abt2v1.ModulesRequest]) (*connect.Response[abt2v1.ModulesResponse], error) {
	list, err := h.svc.Modules(ctx, abt2.ModulesRequest{Module: abt2.ModuleName(req.Msg.GetModule())})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.ModulesResponse{Modules: each(list, moduleStatusToWire)}), nil
}

func (h *rpcs) ChangeModule(ctx context.Context, req *connect.Request[abt2v1.ChangeModuleRequest]) (*connect.Response[abt2v1.ChangeModuleResponse], error) {
	m, err := h.svc.ChangeModule(ctx, changeModuleFromWire(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&abt2v1.ChangeModuleResponse{Module: moduleStatusToWire(m)}), nil
}

func (h *rpcs) Logs(ctx context.Context, req *connect.Request[abt2v1.LogsRequest], stream *connect.ServerStream[abt2v1.LogsResponse]) error {
	return h.svc.Logs(ctx, logsRequestFromWire(req.Msg), logStream{stream})
}

// logStream sends what is written to it.
type logStream struct {
	stream *connect.ServerStream[abt2v1.LogsResponse]
}

func (s logStream) Write(p []byte) (int, error) {
	if err := s.stream.Send(&abt2v1.LogsResponse{Data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}
