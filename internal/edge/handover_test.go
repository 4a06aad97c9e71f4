package edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/lane/feedpb"
)

// steps is a hand-over as a test drives it, from one side.
type steps struct {
	t *testing.T
	*net.UnixConn
}

func (s steps) send(step byte) {
	s.t.Helper()
	if _, err := s.Write([]byte{step}); err != nil {
		s.t.Fatal(err)
	}
}

func (s steps) expect(step byte) {
	s.t.Helper()
	if err := expect(s, step); err != nil {
		s.t.Fatal(err)
	}
}

func (s steps) inventory() {
	s.t.Helper()
	v, err := receiveInventory(s.UnixConn)
	if err != nil {
		s.t.Fatal(err)
	}
	v.close()
}

func TestASuccessorThatBreaksOffChangesNothing(t *testing.T) {
	cfg := runConfig(t)
	r := start(t, cfg, routesTo(1, module(t, func(w http.ResponseWriter, _ *http.Request) {})))
	for what, drive := range map[string]func(s steps){
		"at once":             func(steps) {},
		"with nonsense":       func(s steps) { s.send('?') },
		"before the sockets":  func(s steps) { s.send(stepReady) },
		"with the sockets":    func(s steps) { s.send(stepReady); s.inventory() },
		"when it has them":    func(s steps) { s.send(stepReady); s.inventory(); s.send(stepTaken) },
		"before it serves":    func(s steps) { s.send(stepReady); s.inventory(); s.send(stepTaken); s.expect(stepShut) },
		"out of order":        func(s steps) { s.send(stepServes); s.expect(stepKept) },
		"while another hands": func(s steps) { s.send(stepReady); s.inventory(); refusedBeside(t, cfg.Dir) },
	} {
		s := askHandover(t, cfg.Dir)
		drive(s)
		s.Close()
		if res, _ := send(t, "GET", r.URL, nil, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d afterwards", what, res.StatusCode)
		}
		if d, err := r.Describe(t.Context()); err != nil || !d.Started.Equal(r.Started) {
			t.Fatalf("%s: the one of %v runs, error %v; want that of %v", what, d.Started, err, r.Started)
		}
	}
}

// askHandover asks until the edge has noticed that another has broken off.
func askHandover(t *testing.T, dir string) steps {
	t.Helper()
	for {
		c, err := net.Dial("unix", filepath.Join(dir, edgectl.SocketFile))
		if err != nil {
			t.Fatal(err)
		}
		if err = upgradeLink(c); err == nil {
			return steps{t, c.(*net.UnixConn)}
		}
		c.Close()
		if !strings.Contains(err.Error(), "409") {
			t.Fatal(err)
		}
	}
}

// refusedBeside checks that a second successor is refused.
func refusedBeside(t *testing.T, dir string) {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, edgectl.SocketFile))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := upgradeLink(c); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a second successor: error %v, want 409", err)
	}
}

func TestAPredecessorThatDies(t *testing.T) {
	for what, c := range map[string]struct {
		drive  func(p steps, v *inventory)
		serves bool
	}{
		"before it has given":  {func(p steps, _ *inventory) { p.expect(stepReady) }, false},
		"when it has given":    {func(p steps, v *inventory) { p.give(v) }, true},
		"when it has shut":     {func(p steps, v *inventory) { p.give(v); p.expect(stepTaken); p.send(stepShut) }, true},
		"when it is succeeded": {func(p steps, v *inventory) { p.give(v); p.expect(stepTaken); p.send(stepShut); p.expect(stepServes) }, true},
		"changes its mind":     {func(p steps, v *inventory) { p.give(v); p.expect(stepTaken); p.send(stepKept) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			cfg := runConfig(t)
			cfg.Takeover = true
			public, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l, path, err := listenControl(cfg.Dir)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := announce(path, cfg.Dir); err != nil {
				t.Fatal(err)
			}
			held, err := lock(cfg.Dir)
			if err != nil {
				t.Fatal(err)
			}
			file, err := public.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan struct{})
			predecessor := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/handover" { // it is dying
					return
				}
				defer close(gone)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				defer func() { public.Close(); file.Close(); held.Close() }()
				p := steps{t, conn.(*net.UnixConn)}
				_, _ = io.WriteString(p, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
				v := &inventory{Control: path, Listen: cfg.Listen}
				v.files = append(v.files, held, file)
				c.drive(p, v)
			})}
			served := make(chan struct{})
			go func() { defer close(served); _ = predecessor.Serve(l) }()
			defer func() { predecessor.Close(); <-served }()

			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, cfg, nil) }()
			<-gone
			if !c.serves {
				if err := <-ended; abt2.CodeOf(err) != abt2.CodeFailed {
					t.Errorf("error %v, want %s", err, abt2.CodeFailed)
				}
				return
			}
			res, body := send(t, "GET", "http://"+public.Addr().String(), nil, "") // waits in the kernel, if need be
			if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "routes") {
				t.Errorf("status %d, %q; want the answer of an edge without routes", res.StatusCode, body)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func (s steps) give(v *inventory) {
	s.t.Helper()
	s.expect(stepReady)
	if err := sendInventory(s.UnixConn, v); err != nil {
		s.t.Fatal(err)
	}
}

func TestTakeOver(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	cfg := runConfig(t)
	routes := routesTo(7, module(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			arrived <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, r.Header.Get("Abt2-Env"))
	}))
	name := freeAddress(t)
	routes.Table.Names = []*feedpb.Name{{Module: "order", Product: "default", Address: name}}
	first := start(t, cfg, routes)
	slow := make(chan string, 1)
	go func() {
		_, body := send(t, "GET", first.URL+"/wait", nil, "")
		slow <- body
	}()
	<-arrived

	cfg.Takeover = true
	second := takeOverFrom(t, cfg, first)
	if second.Addresses[0] != first.Addresses[0] || second.Mark != first.Mark || second.Mark.Revision != 7 {
		t.Errorf("took over %v at %v; was %v at %v", second.Mark, second.Addresses, first.Mark, first.Addresses)
	}
	if len(second.Names) != 1 || second.Names[0].Error != "" {
		t.Errorf("names %+v", second.Names)
	}
	for _, address := range []string{second.Addresses[0], name} {
		if res, body := send(t, "GET", "http://"+address+"/", nil, ""); res.StatusCode != http.StatusOK || body != "1" {
			t.Errorf("%s: status %d, %q after the take-over", address, res.StatusCode, body)
		}
	}
	if err := Run(t.Context(), Config{ID: "edge-1", Dir: cfg.Dir, Listen: cfg.Listen, Server: cfg.Server, Log: cfg.Log}); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("a process beside the successor: error %v, want %s", err, abt2.CodeRefused)
	}
	close(release)
	if got := <-slow; got != "1" {
		t.Errorf("the request under way was answered %q", got)
	}
	first.wait(t) // nothing is left for it
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.wait(t)
}

func TestStopEndsPredecessorsToo(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	cfg := runConfig(t)
	first := start(t, cfg, routesTo(1, module(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	})))
	done := make(chan struct{})
	go func() {
		defer close(done)
		send(t, "GET", first.URL+"/", nil, "")
	}()
	<-arrived
	cfg.Takeover = true
	second := takeOverFrom(t, cfg, first)
	third := takeOverFrom(t, cfg, second)
	if err := third.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(release)
	<-done
	first.wait(t)
	second.wait(t)
	third.wait(t)
}

// takeOverFrom starts an edge and returns when it serves in place of before.
func takeOverFrom(t *testing.T, cfg Config, before *running) *running {
	t.Helper()
	r := start(t, cfg, nil)
	until(t, func() bool {
		var err error
		r.Description, err = r.Describe(t.Context())
		return err == nil && !r.Started.Equal(before.Started)
	})
	return r
}

func TestTakeOverFromNobody(t *testing.T) {
	cfg := runConfig(t)
	cfg.Takeover = true
	if r := start(t, cfg, nil); len(r.Addresses) != 1 {
		t.Errorf("addresses %v", r.Addresses)
	}
}

// TestPredecessorIsAwaited: what a predecessor does not confirm is not confirmed.
func TestPredecessorIsAwaited(t *testing.T) {
	for _, c := range []struct {
		what    string
		answer  http.HandlerFunc
		gone    bool
		follows bool
	}{
		{"obeys", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"42":{"count":2,"oldest_age_ms":7}}`)
		}, false, true},
		{"refuses", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnprocessableEntity) }, false, false},
		{"has ended", nil, true, true},
		{"hangs", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, false, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "p.sock")
			if c.answer != nil {
				l, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				srv := httptest.NewUnstartedServer(c.answer)
				srv.Listener.Close()
				srv.Listener = l
				srv.Start()
				defer srv.Close()
			}
			p := newPredecessor(path)
			if c.gone {
				close(p.gone)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // for the one that hangs
			if c.follows {
				ctx = t.Context()
			}
			defer cancel()
			if err := p.apply(ctx, routesTo(1)); (err == nil) != c.follows {
				t.Errorf("apply: error %v", err)
			}
			carried, known := p.carried(ctx)
			if known != c.follows || c.what == "obeys" && carried[42] != (carriedCount{2, 7}) {
				t.Errorf("carried %v, known %v", carried, known)
			}
		})
	}
}
