package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/internal/shim/shimpb/shimpbconnect"
)

// TestMain makes the test binary a shim, a module, or a process that leaves its
// group, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "loner" {
		if err := errors.Join(syscall.Setpgid(0, 0), os.WriteFile(os.Args[2], fmt.Appendln(nil, os.Getpid()), 0o600)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		time.Sleep(time.Hour) // it is killed
		os.Exit(0)
	}
	programs := map[string]func(context.Context, string) error{"shim": Run, "module": module}
	if len(os.Args) == 3 && programs[os.Args[1]] != nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := programs[os.Args[1]](ctx, strings.TrimPrefix(os.Args[2], "--dir=")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// module serves a health check until it is told to end.
func module(ctx context.Context, port string) error {
	s := &http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// kept is an instance's folder and, while one runs, the shim.
type kept struct {
	*testing.T
	dir    string
	spec   *shimpb.Spec
	cmd    *exec.Cmd
	exited chan error
	client shimpbconnect.ShimServiceClient
}

// instance makes the folder of a job that runs a shell script.
func instance(t *testing.T, script string) *kept {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-shim-") // socket paths are short
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{T: t, dir: dir}
	k.spec = &shimpb.Spec{
		Protocol: shimpb.Protocol, Instance: "order-3-17", Module: "order", Version: "order@3",
		Argv: []string{"/bin/sh", "-c", script}, WorkDir: dir, StateDir: filepath.Join(dir, "state"),
		Socket: filepath.Join(dir, "s"), Host: "127.0.0.1", Port: 20017, Job: true,
		StopGrace: durationpb.New(20 * time.Second),
		Timing: &shimpb.Timing{
			BackoffMin: durationpb.New(time.Millisecond), BackoffMax: durationpb.New(20 * time.Millisecond),
		},
	}
	if err := os.Mkdir(k.spec.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	k.client = shimpbconnect.NewShimServiceClient(&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", k.spec.Socket)
		},
	}}, "http://shim")
	t.Cleanup(func() {
		if k.cmd != nil {
			_ = k.cmd.Process.Kill()
			<-k.exited
		}
		if err := bury(context.Background(), dir); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return k
}

// run starts a shim and returns, when it is ready or has ended, what it printed.
func (k *kept) run() string {
	k.Helper()
	if err := shimpb.WriteSpec(k.dir, k.spec); err != nil {
		k.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		k.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		k.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(exe, "shim", "--dir="+k.dir)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // a shim under test ends as fast as a real one
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		k.Fatal(err)
	}
	k.cmd, k.exited = cmd, make(chan error, 1)
	go func(exited chan<- error) { exited <- cmd.Wait(); close(exited) }(k.exited)
	var said strings.Builder
	if _, err := r.WriteTo(&said); err != nil {
		k.Fatal(err)
	}
	return said.String()
}

func (k *kept) describe() *shimpb.DescribeResponse {
	k.Helper()
	r, err := k.client.Describe(k.Context(), connect.NewRequest(&shimpb.DescribeRequest{}))
	if err != nil {
		k.Fatal(err)
	}
	return r.Msg
}

// until follows the shim's stream until ok.
func (k *kept) until(what string, ok func(*shimpb.Status) bool) *shimpb.Status {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), 30*time.Second)
	defer cancel()
	stream, err := k.client.Watch(ctx, connect.NewRequest(&shimpb.WatchRequest{}))
	if err != nil {
		k.Fatal(err)
	}
	defer stream.Close()
	var last *shimpb.Status
	for stream.Receive() {
		if last = stream.Msg().GetStatus(); ok(last) {
			return last
		}
	}
	k.Fatalf("%s: not seen; last %v; %v", what, last, stream.Err())
	return nil
}

func (k *kept) stop() {
	k.Helper()
	if _, err := k.client.Stop(k.Context(), connect.NewRequest(&shimpb.StopRequest{})); err != nil {
		k.Fatal(err)
	}
	k.ended()
}

// ended waits for the shim's own end, which must be a success.
func (k *kept) ended() {
	k.Helper()
	if err := <-k.exited; err != nil {
		k.Errorf("the shim ended with %v", err)
	}
}

func (k *kept) kill() {
	k.Helper()
	if err := k.cmd.Process.Kill(); err != nil {
		k.Fatal(err)
	}
	<-k.exited
}

// pids waits for a file in which the script has written process ids, whole lines.
func (k *kept) pids(name string, want int) []process {
	k.Helper()
	var out []process
	k.poll("the script's "+name, func() bool {
		b, err := os.ReadFile(filepath.Join(k.spec.StateDir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			k.Fatal(err)
		}
		out = nil
		for line := range strings.Lines(string(b)) {
			var pid int
			if _, err := fmt.Sscanf(line, "%d\n", &pid); err == nil {
				start, _ := startTime(pid)
				out = append(out, process{pid, start})
			}
		}
		return len(out) == want
	})
	return out
}

// poll waits for what gives no signal.
func (k *kept) poll(what string, ok func() bool) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		if err := pause(ctx, pollEvery); err != nil {
			k.Fatalf("%s: not seen", what)
		}
	}
}

func (k *kept) log() string {
	k.Helper()
	b, err := os.ReadFile(shimpb.LogPath(k.dir, 0))
	if err != nil {
		k.Fatal(err)
	}
	return string(b)
}
