package builtin_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/driver/drivertest"
	"abt2.dev/internal/edge"
	"abt2.dev/internal/feed"
	"abt2.dev/lane/feedpb"
)

// TestMain lets the test binary be the edge that a Supervisor starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "edge" {
		os.Exit(edgeMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

func edgeMain(args []string) int {
	cfg := edge.Config{DrainTimeout: time.Second}
	flags := flag.NewFlagSet("edge", flag.ExitOnError)
	flags.StringVar(&cfg.ID, "id", "", "")
	flags.StringVar(&cfg.Dir, "dir", "", "")
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "")
	flags.StringVar(&cfg.Server, "server", "", "")
	flags.BoolVar(&cfg.Takeover, "takeover", false, "")
	fail := flags.String("fail", "", "crash or hang")
	_ = flags.Parse(args)
	switch *fail {
	case "crash":
		os.Stderr.WriteString("cannot start\n")
		return 1
	case "hang":
		endWithTests(os.Getppid())
	}
	// The pid is for tests that crash the edge; nothing else identifies it so.
	if err := os.WriteFile(filepath.Join(cfg.Dir, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go endWithTests(os.Getppid())
	if err := edge.Run(ctx, cfg); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
}

// endWithTests ends this process when the tests' has ended, killed by a timeout
// for instance: an edge outlives whoever started it, and would stay for ever.
func endWithTests(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

const edgeID = "edge-1"

// feedServer is the server's end of the feed.
type feedServer struct {
	*feed.Feed
	http    *http.Server
	address string
}

func startFeed(t testing.TB, address string) *feedServer {
	t.Helper()
	f := &feedServer{}
	f.start(t, address)
	return f
}

// again starts another server in the place of one that has ended.
func (f *feedServer) again(t testing.TB) {
	t.Helper()
	f.start(t, f.address)
}

func (f *feedServer) start(t testing.TB, address string) {
	t.Helper()
	f.Feed = feed.New(slog.New(slog.DiscardHandler), feed.AuthenticatorFunc(func(_ context.Context, bearer string) (feed.Identity, error) {
		if bearer != "secret" {
			return feed.Identity{}, abt2.Errorf(abt2.CodeUnauthorized, "wrong credential")
		}
		return feed.Identity{Kind: feed.KindEdge, ID: edgeID}, nil
	}))
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle(f.Handler())
	f.http = &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	f.http.Protocols.SetHTTP1(true)
	f.http.Protocols.SetUnencryptedHTTP2(true)
	served, server, ended := make(chan struct{}), f.http, f.Feed
	go func() { defer close(served); _ = server.Serve(l) }()
	t.Cleanup(func() { ended.Close(); _ = server.Close(); <-served })
}

func (f *feedServer) end() {
	f.Close()
	_ = f.http.Close()
}

// edgeDir makes a folder that a server has prepared for an edge.
func edgeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-edge-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, edge.CredentialFile), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newSupervisor(t testing.TB, dir, server string) *builtin.Supervisor {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := builtin.NewSupervisor(builtin.SupervisorConfig{
		Dir: dir, ID: edgeID, Command: []string{exe, "edge", "--id=" + edgeID, "--dir=" + dir, "--server=" + server},
		Takeover: []string{"--takeover"},
		Env:      []string{"GORACE=atexit_sleep_ms=0"}, // under the race detector a process would idle before it ends
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run keeps the edge running until the returned function is called.
func run(t testing.TB, s *builtin.Supervisor) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() { cancel(); <-done }
}

// TestEdge runs the suite against edge processes kept by a Supervisor.
func TestEdge(t *testing.T) {
	drivertest.Edge(t, func(t *testing.T) drivertest.EdgeFixture {
		f := startFeed(t, "127.0.0.1:0")
		dir := edgeDir(t)
		s := newSupervisor(t, dir, f.address)
		leave := run(t, s)
		t.Cleanup(func() {
			leave()
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "edge.err")); err != nil || len(b) > 0 {
				t.Errorf("the edge complained: %s, error %v", b, err)
			}
		})
		d, err := s.Ready(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return drivertest.EdgeFixture{
			Edge: builtin.NewEdge(f, edgeID), Address: d.Addresses[0],
			Crash: func(t *testing.T) { crash(t, s, dir) },
			Upgrade: func(t *testing.T) {
				if err := s.Upgrade(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			Disconnect: func(t *testing.T) {
				f.end()
				until(t, func() bool { d, err := s.Describe(t.Context()); return err == nil && !d.Connected })
			},
			// What the edge serves is in its memory alone, and a server that knows what
			// it should be sends it whole when the edge comes. So a hand must change what
			// is kept for the next start, let the edge begin anew, and a server must come
			// that has no say yet.
			Drift: func(t *testing.T) {
				f.end()
				driftKept(t, dir)
				crash(t, s, dir)
				f.again(t)
			},
		}
	})
}

// driftKept makes environment 2 the default product's online one in what the
// edge keeps for its next start: the sha256 of a message, and the message.
func driftKept(t *testing.T, dir string) {
	t.Helper()
	kept := filepath.Join(dir, "feed")
	b, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	m := &feedpb.ServerMessage{}
	if err := proto.Unmarshal(b[sha256.Size:], m); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.GetRoutes().GetTable().GetProducts() {
		if p.GetName() == string(abt2.DefaultProduct) {
			p.Online = 2
		}
	}
	if b, err = proto.Marshal(m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if err := os.WriteFile(kept, append(sum[:], b...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// crash kills the edge and returns when the Supervisor has started another.
func crash(t *testing.T, s *builtin.Supervisor, dir string) {
	t.Helper()
	before, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		d, err := s.Describe(t.Context())
		return err == nil && !d.Started.Equal(before.Started)
	})
}

// until looks again and again at something that sends no signal.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("gave up waiting: ", context.Cause(t.Context()))
		}
	}
}
