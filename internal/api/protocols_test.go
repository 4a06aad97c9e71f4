package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"abt2.dev"
	"abt2.dev/internal/api"
	abt2v1 "abt2.dev/proto/abt2/v1"
	"abt2.dev/proto/abt2/v1/abt2v1connect"
)

// The call that operator.proto shows: JSON by curl.
func TestPlainJSON(t *testing.T) {
	svc := &recorder{status: abt2.Status{Product: "default", Online: &abt2.EnvironmentStatus{ID: 42}}}
	_, ts := serve(t, svc)
	req, err := http.NewRequest(http.MethodPost, ts.URL+"/abt2.v1.OperatorService/Status", strings.NewReader(`{"product":"default"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := ts.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(strings.ReplaceAll(string(body), " ", ""), `"online":{"id":"42"`) {
		t.Errorf("%s, %v: %s", resp.Status, err, body)
	}
	if d := cmp.Diff([]call{{"Status", []any{abt2.DefaultProduct}}}, svc.calls); d != "" {
		t.Error(d)
	}
}

// A gRPC client, over HTTP/2 without TLS: answers, streams and errors.
func TestGRPC(t *testing.T) {
	svc := &recorder{logs: []string{"one\n", "two\n"}, err: abt2.Errorf(abt2.CodeOwner, "it is lihua's")}
	ts := httptest.NewUnstartedServer(api.NewHandler(svc, api.OperatorToken("operator.token", token), slog.New(slog.DiscardHandler)))
	ts.Config.Protocols = new(http.Protocols)
	ts.Config.Protocols.SetUnencryptedHTTP2(true)
	ts.Start()
	t.Cleanup(ts.Close)
	transport := &http.Transport{Protocols: ts.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	client := abt2v1connect.NewOperatorServiceClient(&http.Client{Transport: transport}, ts.URL, connect.WithGRPC())

	req := connect.NewRequest(&abt2v1.LogsRequest{Module: "web"})
	req.Header().Set("Authorization", "Bearer "+token)
	stream, err := client.Logs(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var got strings.Builder
	for stream.Receive() {
		got.Write(stream.Msg().GetData())
	}
	if got.String() != "one\ntwo\n" || connect.CodeOf(stream.Err()) != connect.CodePermissionDenied {
		t.Errorf("got %q, %v", got.String(), stream.Err())
	}

	_, err = client.Status(t.Context(), connect.NewRequest(&abt2v1.StatusRequest{}))
	if connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("without a credential: %v", err)
	}
}
