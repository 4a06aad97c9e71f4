package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"abt2.dev"
)

// events is a handler whose answers do not end by themselves.
func events(version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\n", version)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// socket is a WebSocket that says its version and then listens.
func socket(version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		if c.Write(r.Context(), websocket.MessageText, []byte(version)) == nil {
			_, _, _ = c.Read(r.Context())
		}
	}
}

// caller is a gRPC service whose streams say their version and do not end.
type caller struct {
	testpb.UnimplementedTestServiceServer
	version string
}

func (c caller) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(c.version)}}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return status.FromContextError(stream.Context().Err()).Err()
}

func calls(version string) http.Handler {
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, caller{version: version})
	return s
}

// Streams last through a switch, and are closed politely when their environment
// is taken down: nobody's connection is simply cut.
func TestCleanClosesStreamsPolitely(t *testing.T) {
	in := install(t)
	in.release()
	in.create()
	in.put("web", "order", 2, "", false)
	in.verb(abt2.VerbShip)

	res, err := http.Get(in.edge + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stream := bufio.NewReader(res.Body)
	if line, err := stream.ReadString('\n'); line != "data: web@1\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	c, _, err := websocket.Dial(t.Context(), strings.Replace(in.edge, "http", "ws", 1)+"/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if _, b, err := c.Read(t.Context()); string(b) != "web@1" {
		t.Fatalf("the WebSocket begins with %q, %v", b, err)
	}

	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(in.edge, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	call, err := testpb.NewTestServiceClient(conn).StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := call.Recv(); string(m.GetPayload().GetBody()) != "web@1" {
		t.Fatalf("the gRPC stream begins with %v, %v", m, err)
	}

	in.verb(abt2.VerbCommit)
	closed := make(chan error, 1)
	go func() {
		_, _, err := c.Read(context.Background())
		closed <- err
	}()
	clean := abt2.VerbRequest{By: ann, Verb: abt2.VerbClean, Product: abt2.DefaultProduct, Yes: true, DrainTimeout: 2 * time.Second}
	out, err := in.api.Run(t.Context(), clean, func(abt2.Progress) {})
	if err != nil || len(out.Warnings) > 0 {
		t.Errorf("clean: %v, warnings %v; want none: what was open has been closed", err, out.Warnings)
	}
	if rest, err := io.ReadAll(stream); err != nil {
		t.Errorf("the event stream broke off after %q: %v; want a clean end", rest, err)
	}
	var ended websocket.CloseError
	if err := <-closed; !errors.As(err, &ended) || ended.Code != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %v, want 1001", err)
	}
	if m, err := call.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "was retired") {
		t.Errorf("the gRPC stream ended with %v, %v; want unavailable, because its environment was retired", m, err)
	}
	if got := in.page(""); got != "[{web@2 3} {order@1 3}]" {
		t.Errorf("users see %s", got)
	}
	in.noDifference()
}
