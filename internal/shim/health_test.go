package shim

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
)

// self is this test's process as if it were a shim: its listeners are a
// child's when the child is itself.
func self(t *testing.T) *shimpb.Process {
	t.Helper()
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return &shimpb.Process{Pid: int32(os.Getpid()), Start: start}
}

func specOf(addr net.Addr, health string) *shimpb.Spec {
	a := addr.(*net.TCPAddr)
	return &shimpb.Spec{Host: "127.0.0.1", Port: uint32(a.Port), Health: health}
}

func TestHTTPCheck(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
		case "/moved":
			http.Redirect(w, r, "/500", http.StatusFound)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/hangs":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/broken":
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	defer close(release)
	for path, want := range map[string]string{
		"/ok": "", "/moved": "", "tcp": "",
		"/500": "answered 500", "/hangs": "no answer within 20ms", "/broken": "EOF",
	} {
		spec := specOf(s.Listener.Addr(), path)
		if path == "/hangs" {
			spec.Timing = &shimpb.Timing{CheckTimeout: durationpb.New(20 * time.Millisecond)}
		}
		err := newChecker(spec, self(t), os.Getpid()).check(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestCheckWithoutListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, health := range []string{"tcp", "/healthz"} {
		err := newChecker(specOf(l.Addr(), health), self(t), os.Getpid()).check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "must listen on HOST:PORT") {
			t.Errorf("%s: %v", health, err)
		}
	}
}
