package drivertest

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"abt2.dev"
)

const flips = 200

func edgeFlipsWholly(t *testing.T, g *gateway) {
	g.flip(t, 1)
	end := g.load(t)
	for i := range flips {
		to := abt2.EnvironmentID(i%2 + 1)
		g.flip(t, to)
		if got := g.get(t, "/", nil).seen.env(); got != to.String() {
			t.Errorf("after flip %d was confirmed: environment %q, want %s", i, got, to)
		}
	}
	if n := end(); n < flips {
		t.Errorf("%d requests during %d flips", n, flips)
	}
}

// load sends requests of every kind until end, which tells how many, and fails
// the test for those that fail or are mixed.
func (g *gateway) load(t *testing.T) (end func() (requests int64)) {
	ctx, stop := context.WithCancel(t.Context())
	var requests, failed, mixed atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		r := request{path: []string{"/", "/api", "/api/x"}[i%3], http2: i%4 == 3}
		if i%2 == 1 {
			r.method, r.body = "POST", "body"
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				a, err := g.try(ctx, r)
				if ctx.Err() != nil {
					return
				}
				requests.Add(1)
				switch {
				case err != nil || a.status != http.StatusOK:
					if failed.Add(1) == 1 {
						t.Errorf("first failure: status %d, error %v, body %q", a.status, err, a.body)
					}
				case !strings.HasSuffix(a.seen.Version, "@"+a.seen.env()):
					mixed.Add(1)
				}
			}
		})
	}
	return func() int64 {
		t.Helper()
		stop()
		wg.Wait()
		t.Logf("%d requests, %d failed, %d mixed", requests.Load(), failed.Load(), mixed.Load())
		if failed.Load() > 0 || mixed.Load() > 0 {
			t.Errorf("of %d requests %d failed and %d were mixed", requests.Load(), failed.Load(), mixed.Load())
		}
		return requests.Load()
	}
}

func edgeFlipsKeptConnections(t *testing.T, g *gateway) {
	g.flip(t, 1)
	for _, http2 := range []bool{false, true} {
		g.do(t, request{path: "/", http2: http2}) // opens the connection
		for i := range 20 {
			to := abt2.EnvironmentID(i%2 + 1)
			g.flip(t, to)
			reused := false
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
			a, err := g.try(ctx, request{path: "/", http2: http2})
			if err != nil {
				t.Fatal(err)
			}
			if !reused || a.seen.env() != to.String() {
				t.Errorf("http2 %v, flip %d: environment %q on a kept connection (%v), want %s", http2, i, a.seen.env(), reused, to)
			}
		}
	}
}

func edgePassesLargeBodies(t *testing.T, g *gateway) {
	g.apply(t, nil, nil)
	for _, http2 := range []bool{false, true} {
		c := g.client
		if http2 {
			c = g.client2
		}
		body := io.LimitReader(zeros{}, largeBody)
		req, err := http.NewRequestWithContext(t.Context(), "POST", g.base(http2)+"/?do=large", body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || n != largeBody {
			t.Errorf("%s: %d bytes of the answer came back, error %v; want %d", res.Proto, n, err, largeBody)
		}
	}
	// An answer that came before its request was read may cost the connection
	// (RFC 9112, section 9.5).
	g.client.CloseIdleConnections()
	g.client2.CloseIdleConnections()
	const half = 1 << 20
	for _, http2 := range []bool{false, true} {
		a := g.do(t, request{method: "PUT", path: "/", body: strings.Repeat("ab", half), http2: http2})
		if want := sumOf(strings.Repeat("ab", half)); a.seen.Sum != want {
			t.Errorf("http2 %v: a large body arrived changed: sha256 %s, want %s", http2, a.seen.Sum, want)
		}
	}
}

func edgeFinishesSlowBodies(t *testing.T, g *gateway) {
	g.flip(t, 1)
	in, out := io.Pipe()
	type result struct {
		a   answer
		err error
	}
	done := make(chan result, 1)
	go func() {
		a, err := g.tryBody(t.Context(), "/?do=wait", in, nil)
		done <- result{a, err}
	}()
	if _, err := io.WriteString(out, "first "); err != nil {
		t.Fatal(err)
	}
	await(t, g.modules[mustVersion("web@1")].arrived)
	g.flip(t, 2)
	if _, err := io.WriteString(out, "second"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	r := <-done
	if r.err != nil || r.a.seen.env() != "1" || r.a.seen.Version != "web@1" || r.a.seen.Body != "first second" {
		t.Errorf("a body sent across a flip: %q in environment %q, body %q, error %v; want web@1 in 1, whole", r.a.seen.Version, r.a.seen.env(), r.a.seen.Body, r.err)
	}
}

func edgeFinishesEvents(t *testing.T, g *gateway) {
	g.flip(t, 1)
	open := func() (*bufio.Reader, func()) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.Address+"/?do=events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(res.Body), func() { res.Body.Close() }
	}
	expect := func(events *bufio.Reader, want string) {
		t.Helper()
		for _, line := range []string{"data: " + want + "\n", "\n"} {
			if got, err := events.ReadString('\n'); got != line {
				t.Fatalf("event %q, error %v; want %q", got, err, line)
			}
		}
	}
	events, end := open()
	defer end()
	expect(events, "web@1") // arrives although the answer has not ended
	g.flip(t, 2)
	g.modules[mustVersion("web@1")].release <- struct{}{}
	expect(events, "web@1")
	later, endLater := open()
	defer endLater()
	expect(later, "web@2")
}

func edgeFinishesWebSockets(t *testing.T, g *gateway) {
	if g.NoWebSockets {
		t.Skip("this gateway refuses WebSockets")
	}
	g.flip(t, 1)
	open := func() *websocket.Conn {
		c, _, err := websocket.Dial(t.Context(), "ws://"+g.Address+"/?do=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	c := open()
	before := talk(t, c, "before")
	g.flip(t, 2)
	after := talk(t, c, "after")
	if before.Version != "web@1" || after.Version != "web@1" {
		t.Errorf("a connection across a flip: %s, then %s; want web@1 twice", before.Version, after.Version)
	}
	if s := talk(t, open(), "new"); s.Version != "web@2" {
		t.Errorf("a connection after the flip: %s, want web@2", s.Version)
	}
}

func edgeFinishesStreams(t *testing.T, g *gateway) {
	g.flip(t, 1)
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", g.base(true)+"/?do=echo", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	res, err := g.client2.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	echo := func(message string) {
		t.Helper()
		if _, err := io.WriteString(out, message); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(message))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != message {
			t.Fatalf("sent %q, got %q, error %v", message, got, err)
		}
	}
	echo("one")
	g.flip(t, 2)
	echo("two")
	out.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, error %v", rest, err)
	}
	status, stream := res.Trailer.Get("Grpc-Status"), strings.Fields(res.Trailer.Get("Stream"))
	if status != "0" || len(stream) != 3 || stream[0] != "web@1" || unlabelled(stream[1]) != "1" || stream[2] != "HTTP/2.0" {
		t.Errorf("trailers: status %q, stream %q; want 0, web@1 1 HTTP/2.0", status, stream)
	}
}

// tryBody sends a body of unknown length.
func (g *gateway) tryBody(ctx context.Context, path string, body io.Reader, header http.Header) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+g.Address+path, body)
	if err != nil {
		return answer{}, err
	}
	maps.Copy(req.Header, header)
	return g.send(g.client, req)
}

// await waits for a signal until the test's time is over.
func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-t.Context().Done():
		t.Fatal("gave up waiting: ", context.Cause(t.Context()))
	}
}
