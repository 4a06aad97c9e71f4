package api

import (
	"context"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
	"abt2.dev/proto/abt2/v1/abt2v1connect"
)

// Client is an abt2.Service that asks a server. It is safe for concurrent use.
//
// Its errors are those of the service, by code and message; CodeUnavailable
// when no server answers, CodeFailed when something else does.
type Client struct {
	base string
	http authorized
	rpc  abt2v1connect.OperatorServiceClient
}

var _ abt2.Service = (*Client)(nil)

// NewClient returns a client of the server at baseURL, like http://127.0.0.1:7070.
// token is asked before every request, so that a credential may change; an
// empty token is not sent. httpClient must not have a Timeout, as verbs take
// their time; nil stands for one of its own.
func NewClient(baseURL string, token func() (string, error), httpClient *http.Client) *Client {
	if httpClient == nil {
		httpClient = &http.Client{Transport: http.DefaultTransport}
	}
	base := strings.TrimRight(baseURL, "/")
	doer := authorized{httpClient, token}
	return &Client{base, doer, abt2v1connect.NewOperatorServiceClient(doer, base)}
}

// authorized adds the credential to every request.
type authorized struct {
	client *http.Client
	token  func() (string, error)
}

func (a authorized) Do(req *http.Request) (*http.Response, error) {
	token, err := a.token()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as a transport would
		}
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return a.client.Do(req)
}

// Start implements abt2.Service.
func (c *Client) Start(ctx context.Context, product abt2.ProductName) (abt2.StartAnswer, error) {
	resp, err := c.rpc.Start(ctx, connect.NewRequest(&abt2v1.StartRequest{Product: string(product)}))
	if err != nil {
		return abt2.StartAnswer{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg, (*reader).startAnswer)
}

// Create implements abt2.Service.
func (c *Client) Create(ctx context.Context, r abt2.CreateRequest) (abt2.Session, error) {
	resp, err := c.rpc.Create(ctx, connect.NewRequest(createRequestToWire(r)))
	if err != nil {
		return abt2.Session{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg.GetSession(), (*reader).session)
}

// Put implements abt2.Service.
func (c *Client) Put(ctx context.Context, r abt2.PutRequest) ([]abt2.PutAnswer, error) {
	resp, err := c.rpc.Put(ctx, connect.NewRequest(putRequestToWire(r)))
	if err != nil {
		return nil, c.fromWire(ctx, err)
	}
	return readEach(resp.Msg.GetAnswers(), (*reader).putAnswer)
}

// Drop implements abt2.Service.
func (c *Client) Drop(ctx context.Context, r abt2.ModuleRequest) error {
	_, err := c.rpc.Drop(ctx, connect.NewRequest(&abt2v1.DropRequest{
		By: byToWire(r.By), Product: string(r.Product), Modules: each(r.Modules, word), DryRun: r.DryRun,
	}))
	return c.fromWire(ctx, err)
}

// SetProduct implements abt2.Service.
func (c *Client) SetProduct(ctx context.Context, r abt2.ProductRequest) error {
	_, err := c.rpc.SetProduct(ctx, connect.NewRequest(&abt2v1.SetProductRequest{
		By: byToWire(r.By), Product: string(r.Product), Skew: optionalDurationToWire(r.Skew), DryRun: r.DryRun,
	}))
	return c.fromWire(ctx, err)
}

// Forget implements abt2.Service.
func (c *Client) Forget(ctx context.Context, r abt2.ForgetRequest) error {
	_, err := c.rpc.Forget(ctx, connect.NewRequest(&abt2v1.ForgetRequest{
		By: byToWire(r.By), Product: string(r.Product), Router: r.Router, DryRun: r.DryRun,
	}))
	return c.fromWire(ctx, err)
}

// Disturb implements abt2.Service.
func (c *Client) Disturb(ctx context.Context, r abt2.FaultRequest) (abt2.Fault, error) {
	resp, err := c.rpc.Disturb(ctx, connect.NewRequest(faultRequestToWire(r)))
	if err != nil {
		return abt2.Fault{}, c.fromWire(ctx, err)
	}
	return faultFromWire(resp.Msg.GetFault()), nil
}

// Remove implements abt2.Service.
func (c *Client) Remove(ctx context.Context, r abt2.ModuleRequest) error {
	_, err := c.rpc.Remove(ctx, connect.NewRequest(&abt2v1.RemoveRequest{
		By: byToWire(r.By), Product: string(r.Product), Modules: each(r.Modules, word), DryRun: r.DryRun,
	}))
	return c.fromWire(ctx, err)
}

// Plan implements abt2.Service.
func (c *Client) Plan(ctx context.Context, r abt2.PlanRequest) ([]abt2.PlanLine, error) {
	resp, err := c.rpc.Plan(ctx, connect.NewRequest(&abt2v1.PlanRequest{By: byToWire(r.By), Product: string(r.Product)}))
	if err != nil {
		return nil, c.fromWire(ctx, err)
	}
	return readEach(resp.Msg.GetLines(), (*reader).planLine)
}

// Run implements abt2.Service. With an error that came after the outcome was
// known, the outcome is returned too.
func (c *Client) Run(ctx context.Context, r abt2.VerbRequest, progress func(abt2.Progress)) (abt2.Outcome, error) {
	stream, err := c.rpc.Run(ctx, connect.NewRequest(verbRequestToWire(r)))
	if err != nil {
		return abt2.Outcome{}, c.fromWire(ctx, err)
	}
	defer stream.Close()
	var outcome *abt2v1.Outcome
	for stream.Receive() {
		switch e := stream.Msg().GetEvent().(type) {
		case *abt2v1.RunResponse_Progress:
			progress(progressFromWire(e.Progress))
		case *abt2v1.RunResponse_Outcome:
			outcome = e.Outcome
		}
	}
	err = c.fromWire(ctx, stream.Err())
	if outcome == nil {
		switch {
		case err == nil:
			return abt2.Outcome{}, c.stranger(io.ErrUnexpectedEOF)
		case abt2.CodeOf(err) == abt2.CodeUnavailable && stream.ResponseHeader().Get("Content-Type") != "":
			return abt2.Outcome{}, abt2.Wrap(abt2.CodeUnavailable, err, "the server at %s went away while %s was at work; start it again and repeat the command: it attaches, or tells how it ended", c.base, r.Verb)
		}
		return abt2.Outcome{}, err
	}
	o, bad := read(outcome, (*reader).outcome)
	if err == nil {
		err = bad
	}
	return o, err
}

// Status implements abt2.Service.
func (c *Client) Status(ctx context.Context, product abt2.ProductName) (abt2.Status, error) {
	resp, err := c.rpc.Status(ctx, connect.NewRequest(&abt2v1.StatusRequest{Product: string(product)}))
	if err != nil {
		return abt2.Status{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg.GetStatus(), (*reader).status)
}

// Validate implements abt2.Service.
func (c *Client) Validate(ctx context.Context, r abt2.ValidateRequest) ([]abt2.Difference, error) {
	resp, err := c.rpc.Validate(ctx, connect.NewRequest(validateRequestToWire(r)))
	if err != nil {
		return nil, c.fromWire(ctx, err)
	}
	return each(resp.Msg.GetDifferences(), differenceFromWire), nil
}

// History implements abt2.Service.
func (c *Client) History(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	resp, err := c.rpc.History(ctx, connect.NewRequest(&abt2v1.HistoryRequest{Product: string(product), Limit: narrow(limit)}))
	if err != nil {
		return nil, c.fromWire(ctx, err)
	}
	return each(resp.Msg.GetEvents(), eventFromWire), nil
}

// Environment implements abt2.Service.
func (c *Client) Environment(ctx context.Context, id abt2.EnvironmentID) (abt2.EnvironmentStatus, error) {
	resp, err := c.rpc.Environment(ctx, connect.NewRequest(&abt2v1.EnvironmentRequest{Id: uint64(id)}))
	if err != nil {
		return abt2.EnvironmentStatus{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg.GetEnvironment(), (*reader).environment)
}

// Lookup implements abt2.Service.
func (c *Client) Lookup(ctx context.Context, r abt2.LookupRequest) (abt2.Lookup, error) {
	resp, err := c.rpc.Lookup(ctx, connect.NewRequest(lookupRequestToWire(r)))
	if err != nil {
		return abt2.Lookup{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg.GetLookup(), (*reader).lookup)
}

// Call implements abt2.Service.
func (c *Client) Call(ctx context.Context, r abt2.CallRequest) (abt2.CallAnswer, error) {
	resp, err := c.rpc.Call(ctx, connect.NewRequest(callRequestToWire(r)))
	if err != nil {
		return abt2.CallAnswer{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg, (*reader).callAnswer)
}

// Groups implements abt2.Service.
func (c *Client) Groups(ctx context.Context, product abt2.ProductName) ([]abt2.Group, error) {
	resp, err := c.rpc.Groups(ctx, connect.NewRequest(&abt2v1.GroupsRequest{Product: string(product)}))
	if err != nil {
		return nil, c.fromWire(ctx, err)
	}
	return each(resp.Msg.GetGroups(), groupFromWire), nil
}

// ChangeGroup implements abt2.Service.
func (c *Client) ChangeGroup(ctx context.Context, r abt2.GroupRequest) (abt2.Group, error) {
	resp, err := c.rpc.ChangeGroup(ctx, connect.NewRequest(groupRequestToWire(r)))
	if err != nil {
		return abt2.Group{}, c.fromWire(ctx, err)
	}
	return groupFromWire(resp.Msg.GetGroup()), nil
}

// Modules implements abt2.Service.
func (c *Client) Modules(ctx context.Context, r abt2.ModulesRequest) ([]abt2.ModuleStatus, error) {
	resp, err := c.rpc.Modules(ctx, connect.NewRequest(&abt2v1.ModulesRequest{Module: string(r.Module)}))
	if err != nil {
		return nil, c.fromWire(ctx, err)
	}
	return readEach(resp.Msg.GetModules(), (*reader).moduleStatus)
}

// ChangeModule implements abt2.Service.
func (c *Client) ChangeModule(ctx context.Context, r abt2.ChangeModuleRequest) (abt2.ModuleStatus, error) {
	resp, err := c.rpc.ChangeModule(ctx, connect.NewRequest(changeModuleToWire(r)))
	if err != nil {
		return abt2.ModuleStatus{}, c.fromWire(ctx, err)
	}
	return read(resp.Msg.GetModule(), (*reader).moduleStatus)
}

// Logs implements abt2.Service.
func (c *Client) Logs(ctx context.Context, r abt2.LogsRequest, w io.Writer) error {
	stream, err := c.rpc.Logs(ctx, connect.NewRequest(logsRequestToWire(r)))
	if err != nil {
		return c.fromWire(ctx, err)
	}
	defer stream.Close()
	for stream.Receive() {
		if _, err := w.Write(stream.Msg().GetData()); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "the logs cannot be written")
		}
	}
	return c.fromWire(ctx, stream.Err())
}
