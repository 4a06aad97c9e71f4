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
	if got := in.page(""); got != "[{web@2 3} {order@1 3}]" {
		t.Errorf("users see %s", got)
	}
	in.noDifference()
}
