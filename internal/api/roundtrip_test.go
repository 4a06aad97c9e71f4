package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "correct horse battery staple"

// serve serves svc as the server does and returns its client.
func serve(t *testing.T, svc abt2.Service, opts ...api.Option) (*api.Client, *httptest.Server) {
	t.Helper()
	ts := httptest.NewServer(api.NewHandler(svc, api.OperatorToken("operator.token", token), slog.New(slog.DiscardHandler), opts...))
	t.Cleanup(ts.Close)
	client := ts.Client()
	client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute // as long as it takes here; httptest's own does not wait at all
	return api.NewClient(ts.URL, func() (string, error) { return token, nil }, client), ts
}

// Every method brings every field there and back.
func TestRoundTrip(t *testing.T) {
	ctx := t.Context()
	content := []byte("#!/bin/sh\n")
	sum := sha256.Sum256(content)
	art := abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: "önly a näme?&", Format: abt2.FormatTarGz}
	for _, tc := range []struct {
		name string
		svc  recorder
		call func(abt2.Service) (any, error)
		want any // what the client returns
		args []any
	}{
		{"Start", recorder{start: filled[abt2.StartAnswer]()},
			func(s abt2.Service) (any, error) { return s.Start(ctx, "shop") },
			filled[abt2.StartAnswer](), []any{abt2.ProductName("shop")}},
		{"Create", recorder{session: filled[abt2.Session]()},
			func(s abt2.Service) (any, error) { return s.Create(ctx, filled[abt2.CreateRequest]()) },
			filled[abt2.Session](), []any{filled[abt2.CreateRequest]()}},
		{"HasArtifact", recorder{has: true},
			func(s abt2.Service) (any, error) { return s.HasArtifact(ctx, art.Digest) },
			true, []any{art.Digest}},
		{"HasArtifact", recorder{has: false},
			func(s abt2.Service) (any, error) { return s.HasArtifact(ctx, art.Digest) },
			false, []any{art.Digest}},
		{"Upload", recorder{},
			func(s abt2.Service) (any, error) { return nil, s.Upload(ctx, art, bytes.NewReader(content)) },
			nil, []any{art}},
		{"Put", recorder{answers: filled[[]abt2.PutAnswer]()},
			func(s abt2.Service) (any, error) { return s.Put(ctx, filled[abt2.PutRequest]()) },
			filled[[]abt2.PutAnswer](), []any{filled[abt2.PutRequest]()}},
		{"Drop", recorder{},
			func(s abt2.Service) (any, error) { return nil, s.Drop(ctx, filled[abt2.ModuleRequest]()) },
			nil, []any{filled[abt2.ModuleRequest]()}},
		{"SetProduct", recorder{},
			func(s abt2.Service) (any, error) { return nil, s.SetProduct(ctx, filled[abt2.ProductRequest]()) },
			nil, []any{filled[abt2.ProductRequest]()}},
		{"Forget", recorder{},
			func(s abt2.Service) (any, error) { return nil, s.Forget(ctx, filled[abt2.ForgetRequest]()) },
			nil, []any{filled[abt2.ForgetRequest]()}},
		{"Disturb", recorder{fault: filled[abt2.Fault]()},
			func(s abt2.Service) (any, error) { return s.Disturb(ctx, filled[abt2.FaultRequest]()) },
			filled[abt2.Fault](), []any{filled[abt2.FaultRequest]()}},
		{"Remove", recorder{},
			func(s abt2.Service) (any, error) { return nil, s.Remove(ctx, filled[abt2.ModuleRequest]()) },
			nil, []any{filled[abt2.ModuleRequest]()}},
		{"Plan", recorder{plan: filled[[]abt2.PlanLine]()},
			func(s abt2.Service) (any, error) { return s.Plan(ctx, filled[abt2.PlanRequest]()) },
			filled[[]abt2.PlanLine](), []any{filled[abt2.PlanRequest]()}},
		{"Run", recorder{outcome: filled[abt2.Outcome](), progress: filled[[]abt2.Progress]()},
			func(s abt2.Service) (any, error) {
				var out ran
				var err error
				out.Outcome, err = s.Run(ctx, filled[abt2.VerbRequest](), func(p abt2.Progress) { out.Progress = append(out.Progress, p) })
				return out, err
			},
			ran{filled[[]abt2.Progress](), filled[abt2.Outcome]()}, []any{filled[abt2.VerbRequest]()}},
		{"Status", recorder{status: filled[abt2.Status]()},
			func(s abt2.Service) (any, error) { return s.Status(ctx, "shop") },
			filled[abt2.Status](), []any{abt2.ProductName("shop")}},
		{"Validate", recorder{diffs: filled[[]abt2.Difference]()},
			func(s abt2.Service) (any, error) { return s.Validate(ctx, filled[abt2.ValidateRequest]()) },
			filled[[]abt2.Difference](), []any{filled[abt2.ValidateRequest]()}},
		{"History", recorder{events: filled[[]abt2.Event]()},
			func(s abt2.Service) (any, error) { return s.History(ctx, "shop", 7) },
			filled[[]abt2.Event](), []any{abt2.ProductName("shop"), 7}},
		{"Environment", recorder{env: filled[abt2.EnvironmentStatus]()},
			func(s abt2.Service) (any, error) { return s.Environment(ctx, 42) },
			filled[abt2.EnvironmentStatus](), []any{abt2.EnvironmentID(42)}},
		{"Lookup", recorder{lookup: filled[abt2.Lookup]()},
			func(s abt2.Service) (any, error) { return s.Lookup(ctx, filled[abt2.LookupRequest]()) },
			filled[abt2.Lookup](), []any{filled[abt2.LookupRequest]()}},
		{"Call", recorder{called: filled[abt2.CallAnswer]()},
			func(s abt2.Service) (any, error) { return s.Call(ctx, filled[abt2.CallRequest]()) },
			filled[abt2.CallAnswer](), []any{filled[abt2.CallRequest]()}},
		{"Groups", recorder{groups: filled[[]abt2.Group]()},
			func(s abt2.Service) (any, error) { return s.Groups(ctx, "shop") },
			filled[[]abt2.Group](), []any{abt2.ProductName("shop")}},
		{"ChangeGroup", recorder{group: filled[abt2.Group]()},
			func(s abt2.Service) (any, error) { return s.ChangeGroup(ctx, filled[abt2.GroupRequest]()) },
			filled[abt2.Group](), []any{filled[abt2.GroupRequest]()}},
		{"Modules", recorder{modules: filled[[]abt2.ModuleStatus]()},
			func(s abt2.Service) (any, error) { return s.Modules(ctx, filled[abt2.ModulesRequest]()) },
			filled[[]abt2.ModuleStatus](), []any{filled[abt2.ModulesRequest]()}},
		{"ChangeModule", recorder{module: filled[abt2.ModuleStatus]()},
			func(s abt2.Service) (any, error) { return s.ChangeModule(ctx, filled[abt2.ChangeModuleRequest]()) },
			filled[abt2.ModuleStatus](), []any{filled[abt2.ChangeModuleRequest]()}},
		{"Logs", recorder{logs: []string{"web-1-1\tone\n", "web-1-1\ttw", "o\xff\n"}},
			func(s abt2.Service) (any, error) {
				var b strings.Builder
				err := s.Logs(ctx, filled[abt2.LogsRequest](), &b)
				return b.String(), err
			},
			"web-1-1\tone\nweb-1-1\ttwo\xff\n", []any{filled[abt2.LogsRequest]()}},
		{"Backup", recorder{backup: []string{"part\x00 one", "part two"}},
			func(s abt2.Service) (any, error) {
				var b strings.Builder
				err := s.Backup(ctx, &b)
				return b.String(), err
			},
			"part\x00 onepart two", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, _ := serve(t, &tc.svc)
			got, err := tc.call(client)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("answer changed on its way (-sent +received):\n%s", d)
			}
			if d := cmp.Diff([]call{{tc.name, tc.args}}, tc.svc.calls); d != "" {
				t.Errorf("request changed on its way (-sent +received):\n%s", d)
			}
			if tc.svc.identity != "operator.token" {
				t.Errorf("the service saw identity %q", tc.svc.identity)
			}
			if tc.name == "Upload" && !bytes.Equal(tc.svc.uploaded, content) {
				t.Errorf("uploaded %q", tc.svc.uploaded)
			}
		})
	}
}

type ran struct {
	Progress []abt2.Progress
	Outcome  abt2.Outcome
}

// Zero values stay zero: nothing appears on the way.
func TestRoundTripOfNothing(t *testing.T) {
	svc := &recorder{}
	client, _ := serve(t, svc)
	ctx := t.Context()
	status, err := client.Status(ctx, "")
	if d := cmp.Diff(abt2.Status{}, status); d != "" || err != nil {
		t.Errorf("Status: %v\n%s", err, d)
	}
	start, err := client.Start(ctx, "")
	if d := cmp.Diff(abt2.StartAnswer{}, start); d != "" || err != nil {
		t.Errorf("Start: %v\n%s", err, d)
	}
	session, err := client.Create(ctx, abt2.CreateRequest{})
	if d := cmp.Diff(abt2.Session{Targets: map[abt2.ModuleName]*abt2.Target{}}, session); d != "" || err != nil {
		t.Errorf("Create: %v\n%s", err, d)
	}
	outcome, err := client.Run(ctx, abt2.VerbRequest{}, nil)
	if d := cmp.Diff(abt2.Outcome{}, outcome); d != "" || err != nil {
		t.Errorf("Run: %v\n%s", err, d)
	}
	env, err := client.Environment(ctx, 0)
	if d := cmp.Diff(abt2.EnvironmentStatus{Modules: map[abt2.ModuleName]abt2.VersionID{}}, env); d != "" || err != nil {
		t.Errorf("Environment: %v\n%s", err, d)
	}
	if _, err := client.Put(ctx, abt2.PutRequest{Modules: []abt2.PutModule{{Module: "web"}}}); err != nil {
		t.Errorf("Put: %v", err)
	}
	want := []call{
		{"Status", []any{abt2.ProductName("")}}, {"Start", []any{abt2.ProductName("")}}, {"Create", []any{abt2.CreateRequest{}}},
		{"Run", []any{abt2.VerbRequest{}}}, {"Environment", []any{abt2.EnvironmentID(0)}},
		{"Put", []any{abt2.PutRequest{Modules: []abt2.PutModule{{Module: "web"}}}}},
	}
	if d := cmp.Diff(want, svc.calls); d != "" {
		t.Errorf("requests:\n%s", d)
	}
}

// In a patch an empty list or map says something, and so does a pointer to zero.
func TestPatchKeepsEmptyApartFromAbsent(t *testing.T) {
	svc := &recorder{}
	client, _ := serve(t, svc)
	var (
		zero     int
		none     string
		instant  abt2.Duration
		noCompat abt2.ProductName
	)
	r := abt2.PutRequest{Modules: []abt2.PutModule{{Module: "web", Flags: abt2.ConfigPatch{
		Command: []string{}, Args: []string{}, Env: map[string]string{}, Health: &none, StopGrace: &instant, Compat: &noCompat, Instances: &zero,
	}}}}
	if _, err := client.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{r}, svc.calls[0].Args); d != "" {
		t.Errorf("patch changed on its way (-sent +received):\n%s", d)
	}
}

// What instances print need not be UTF-8; it must not break an answer.
func TestBytesThatAreNotText(t *testing.T) {
	svc := &recorder{
		outcome:  abt2.Outcome{Failed: []abt2.Failure{{Version: abt2.VersionID{Module: "web", Number: 1}, Reason: "a\xff", Log: []string{"b\xff"}}}},
		progress: []abt2.Progress{{Text: "c\xff"}},
	}
	client, _ := serve(t, svc)
	var seen string
	outcome, err := client.Run(t.Context(), abt2.VerbRequest{}, func(p abt2.Progress) { seen = p.Text })
	if err != nil {
		t.Fatal(err)
	}
	if f := outcome.Failed[0]; f.Reason != "a\uFFFD" || f.Log[0] != "b\uFFFD" || seen != "c\uFFFD" {
		t.Errorf("got %q and progress %q", f, seen)
	}
}

// A caller that goes away ends the service's context and gets its own reason back.
func TestCallerDetaches(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	svc := &recorder{
		progress: []abt2.Progress{{Step: "start"}},
		run: func(ctx context.Context) error {
			<-ctx.Done()
			left <- ctx.Err()
			return ctx.Err()
		},
	}
	client, _ := serve(t, svc)
	_, err := client.Run(ctx, abt2.VerbRequest{Verb: abt2.VerbCommit}, func(abt2.Progress) { cancel() })
	if ctx.Err() == nil || err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("client: %v", err)
	}
	if err := <-left; err != context.Canceled {
		t.Errorf("service: %v", err)
	}
}
