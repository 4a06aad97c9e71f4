package edge

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"abt2.dev/lane/stamp"
)

// streams is a module that serves every kind of stream.
func streams(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/websocket":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.CloseNow() }()
			for {
				kind, b, err := c.Read(r.Context())
				if err != nil {
					return
				}
				if err := c.Write(r.Context(), kind, b); err != nil {
					return
				}
			}
		case "/silent": // says nothing before it is spoken to, which it never is
			_, _ = io.Copy(io.Discard, r.Body)
		default:
			if isGRPC(r) {
				w.Header().Set("Content-Type", "application/grpc")
			}
			_, _ = io.WriteString(w, "begun "+r.Header.Get(stamp.EnvHeader)+"\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}
}

// stream opens one; its body ends when it does.
func (e *testEdge) stream(t *testing.T, path string, grpc bool, header http.Header) *http.Response {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!grpc)
	transport.Protocols.SetUnencryptedHTTP2(grpc)
	t.Cleanup(transport.CloseIdleConnections)
	method, body := "GET", io.Reader(nil)
	if grpc {
		in, out := io.Pipe()
		t.Cleanup(func() { out.Close() })
		method, body = "POST", in
	}
	req, err := http.NewRequestWithContext(t.Context(), method, e.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if grpc {
		req.Header.Set("Content-Type", "application/grpc")
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// TestClosesStreams: each stream of the environment gets the end of its protocol
// although its instance stays, and those of another environment go on.
func TestClosesStreams(t *testing.T) {
	e := newTestEdge(t, nil)
	e.mustApply(t, routesTo(1, module(t, streams(t))))
	token := http.Header{"Abt2-Token": {string(preview)}}
	dial := func(header http.Header) *websocket.Conn {
		c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(e.url, "http")+"/websocket", &websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	echo := func(c *websocket.Conn) error {
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			return err
		}
		_, b, err := c.Read(t.Context())
		if err == nil && string(b) != "hello" {
			err = errors.New("echoed " + string(b))
		}
		return err
	}
	closed, stays := dial(token), dial(nil)
	for _, c := range []*websocket.Conn{closed, stays} {
		if err := echo(c); err != nil {
			t.Fatal(err)
		}
	}
	events, others := e.stream(t, "/events", false, token), e.stream(t, "/events", false, nil)
	call := e.stream(t, "/call", true, token)
	silent := make(chan *http.Response, 1)
	go func() { silent <- e.stream(t, "/silent", true, token) }()
	until(t, func() bool { return e.carrier.Carried()[2].GetCount() == 4 })

	e.closeStreams(2)
	if _, _, err := closed.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("WebSocket: %v, want 1001", err)
	}
	if b, err := io.ReadAll(events.Body); err != nil || string(b) != "begun 2\n" {
		t.Errorf("events: %q, error %v; want a clean end", b, err)
	}
	if b, err := io.ReadAll(call.Body); err != nil || string(b) != "begun 2\n" || call.Trailer.Get("Grpc-Status") != "14" || !strings.Contains(call.Trailer.Get("Grpc-Message"), "environment 2 was retired") {
		t.Errorf("gRPC call: %q, error %v, trailers %v; want status 14", b, err, call.Trailer)
	}
	if res := <-silent; res.Header.Get("Grpc-Status") != "14" || res.StatusCode != http.StatusOK {
		t.Errorf("gRPC call without an answer yet: status %d, header %v; want 14", res.StatusCode, res.Header)
	}
	until(t, func() bool { return e.carrier.Carried()[2] == nil }) // drained
	if err := echo(stays); err != nil {
		t.Errorf("WebSocket of another environment: %v", err)
	}
	if n := e.carrier.Carried()[1].GetCount(); n != 2 {
		t.Errorf("%d streams of another environment go on, want 2", n)
	}
	e.closeStreams(1)
	if b, err := io.ReadAll(others.Body); err != nil || string(b) != "begun 1\n" {
		t.Errorf("events of the other: %q, error %v", b, err)
	}
	if _, _, err := stays.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("WebSocket of the other: %v, want 1001", err)
	}
}

// TestCloseFrameIsSentBetweenFrames: wherever the bytes are cut, whatever has
// begun is finished first.
func TestCloseFrameIsSentBetweenFrames(t *testing.T) {
	short := append([]byte{0x81, 0x85, 1, 2, 3, 4}, "hello"...)
	medium := append([]byte{0x02, 126, 0x01, 0x00}, bytes.Repeat([]byte{0x88}, 256)...)
	long := append([]byte{0x80, 127, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 1<<16)...)
	for _, frame := range [][]byte{short, medium, long, {0x89, 0}} {
		for _, cut := range []int{0, 1, 2, 3, 5, 9, len(frame) - 1, len(frame)} {
			if cut > len(frame) || cut < 0 {
				continue
			}
			var out bytes.Buffer
			f := frames{w: &out, closeFrame: closeFrame([]byte{3, 0xe9}, false), ended: func() {}}
			mustWrite(t, &f, frame[:cut])
			f.asked.Store(true)
			f.sendClose()
			mustWrite(t, &f, append(bytes.Clone(frame[cut:]), short...))
			want := append(bytes.Clone(frame), f.closeFrame...)
			if cut == 0 {
				want = f.closeFrame
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("frame % x…, cut at %d: wrote %d bytes, want %d", frame[:2], cut, out.Len(), len(want))
			}
			if f.peerEnded.Load() {
				t.Errorf("frame % x…: a payload was taken for a close frame", frame[:2])
			}
			mustWrite(t, &f, []byte{0x88, 0x80, 0, 0, 0, 0})
			if !f.peerEnded.Load() || out.Len() != len(want) {
				t.Errorf("frame % x…: the peer's close frame was not seen, or passed on", frame[:2])
			}
		}
	}
	var out bytes.Buffer // a peer that has said goodbye itself gets no second one
	f := frames{w: &out, closeFrame: []byte("never"), ended: func() {}}
	mustWrite(t, &f, []byte{0x88, 0})
	f.asked.Store(true)
	f.sendClose()
	if !bytes.Equal(out.Bytes(), []byte{0x88, 0}) {
		t.Errorf("wrote % x behind a close frame", out.Bytes())
	}
}

func mustWrite(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if n, err := w.Write(b); n != len(b) || err != nil {
		t.Fatalf("wrote %d of %d, error %v", n, len(b), err)
	}
}

func TestMaskedCloseFrame(t *testing.T) {
	f := closeFrame([]byte{3, 0xe9}, true)
	if len(f) != 8 || f[0] != 0x88 || f[1] != 0x82 || f[6]^f[2] != 3 || f[7]^f[3] != 0xe9 {
		t.Errorf("% x is no masked close frame of 1001", f)
	}
}
