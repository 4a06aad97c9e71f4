package shim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
)

func healthy(s *shimpb.Status) bool { return s.GetState() == shimpb.State_STATE_HEALTHY }

func TestKeepsUntilStopped(t *testing.T) {
	k := instance(t, `echo hello; echo $$ > $ABT2_STATE/pid; exec sleep 1000`)
	if said := k.run(); said != "" {
		t.Errorf("a shim that is ready has said %q", said)
	}
	k.until("healthy", healthy)
	child := k.pids("pid", 1)[0]
	d := k.describe()
	id := d.GetIdentity()
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	if d.GetProtocol() != shimpb.Protocol || id.GetInstance() != k.spec.Instance || id.GetBoot() != boot ||
		int(id.GetShim().GetPid()) != k.cmd.Process.Pid || int(id.GetChild().GetPid()) != child.pid || id.GetChild().GetStart() != child.start {
		t.Errorf("Describe: %v; the child is %v, the shim %d", d, child, k.cmd.Process.Pid)
	}
	if st, err := os.Stat(k.spec.Socket); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v; want mode 0600", st, err)
	}
	pid, alive, err := shimpb.Keeper(k.dir)
	if pid != k.cmd.Process.Pid || !alive || err != nil {
		t.Errorf("Keeper: %d, %v, %v", pid, alive, err)
	}
	k.stop()
	if lives(child) {
		t.Error("the child lives on after Stop")
	}
	if _, alive, _ := shimpb.Keeper(k.dir); alive {
		t.Error("somebody keeps the instance after Stop")
	}
	if _, err := os.Stat(k.spec.Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if !strings.Contains(k.log(), "hello\n") {
		t.Errorf("log: %q", k.log())
	}
}

func TestStartsAgain(t *testing.T) {
	k := instance(t, `echo run; exit 3`)
	k.run()
	s := k.until("two restarts", func(s *shimpb.Status) bool {
		return s.GetRestarts() >= 2 && s.GetState() == shimpb.State_STATE_BACKOFF
	})
	if s.GetDetail() != "exited with status 3" {
		t.Errorf("detail %q", s.GetDetail())
	}
	k.stop() // while it waits, most likely
	if n := strings.Count(k.log(), "run\n"); n < 3 {
		t.Errorf("ran %d times", n)
	}
	if !strings.Contains(k.log(), "abt2: exited with status 3; starting again in ") {
		t.Errorf("the log does not say why: %q", k.log())
	}
}

func TestCannotStart(t *testing.T) {
	k := instance(t, "")
	k.spec.Argv = []string{"./absent"}
	k.run()
	s := k.until("backoff", func(s *shimpb.Status) bool { return s.GetState() == shimpb.State_STATE_BACKOFF })
	if !strings.Contains(s.GetDetail(), filepath.Join(k.dir, "absent")) {
		t.Errorf("detail %q does not name the program", s.GetDetail())
	}
	k.stop()
}

func TestOneShimOnly(t *testing.T) {
	k := instance(t, `exec sleep 1000`)
	k.run()
	first, exited := k.cmd, k.exited
	if said := k.run(); !strings.Contains(said, "another shim keeps this instance") {
		t.Errorf("the second shim said %q", said)
	}
	if err := <-k.exited; err == nil {
		t.Error("the second shim succeeded")
	}
	k.cmd, k.exited = first, exited
	k.until("healthy", healthy)
	k.stop()
}

func TestEndedStartsNothing(t *testing.T) {
	k := instance(t, `touch $ABT2_STATE/started`)
	k.spec.Ended = true
	if said := k.run(); said != "" {
		t.Errorf("said %q", said)
	}
	k.ended()
	if _, err := os.Stat(filepath.Join(k.spec.StateDir, "started")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the child was started: %v", err)
	}
}

func TestNewerSpecIsRefused(t *testing.T) {
	k := instance(t, `true`)
	k.spec.Protocol = shimpb.Protocol + 1
	if said := k.run(); !strings.Contains(said, "protocol") {
		t.Errorf("said %q", said)
	}
	<-k.exited
}

// family is a script whose processes write their ids to the file pids: one in a
// group of its own, one in the child's, and last the child.
func family(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return `"` + exe + `" loner $ABT2_STATE/pids &
		while [ ! -s $ABT2_STATE/pids ]; do sleep 0.01; done
		sleep 1000 & echo $! >> $ABT2_STATE/pids
		echo $$ >> $ABT2_STATE/pids
		wait`
}

func TestKilledShimLeavesNothing(t *testing.T) {
	for _, ended := range []bool{true, false} {
		name := map[bool]string{true: "to end", false: "to go on"}[ended]
		t.Run(name, func(t *testing.T) {
			k := instance(t, family(t))
			k.run()
			old := k.pids("pids", 3)
			k.kill()
			if runtime.GOOS == "linux" {
				k.poll("the child's end with its shim", func() bool { return !lives(old[2]) })
			}
			if err := os.Remove(filepath.Join(k.spec.StateDir, "pids")); err != nil {
				t.Fatal(err)
			}
			k.spec.Ended = ended
			if said := k.run(); said != "" {
				t.Errorf("the successor said %q", said)
			}
			for _, p := range old {
				if lives(p) {
					t.Errorf("process %d lives on", p.pid)
				}
			}
			if ended {
				k.ended()
				return
			}
			young := k.pids("pids", 3)
			for _, p := range young {
				if !lives(p) || slices.Contains(old, p) {
					t.Errorf("process %d is not a new one that lives", p.pid)
				}
			}
			k.stop()
			for _, p := range young {
				if lives(p) {
					t.Errorf("process %d lives on after Stop", p.pid)
				}
			}
		})
	}
}

func TestStopEndsTheFamily(t *testing.T) {
	k := instance(t, family(t))
	k.run()
	all := k.pids("pids", 3)
	k.spec.StopGrace = nil
	if _, err := k.client.Stop(t.Context(), connect.NewRequest(&shimpb.StopRequest{Grace: durationpb.New(0)})); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if lives(p) {
			t.Errorf("process %d lives on", p.pid)
		}
	}
	k.ended()
}

func TestCrashEndsTheFamily(t *testing.T) {
	k := instance(t, `[ -e $ABT2_STATE/pid ] && exec sleep 1000; sleep 1000 & echo $! > $ABT2_STATE/pid`)
	k.run()
	k.until("a restart", func(s *shimpb.Status) bool { return s.GetRestarts() == 1 && healthy(s) })
	if p := k.pids("pid", 1)[0]; lives(p) {
		t.Errorf("process %d of the run before lives on", p.pid)
	}
	k.stop()
}

func TestGrace(t *testing.T) {
	tests := []struct {
		name, script string
		polite       bool
	}{
		{"used", `trap 'echo bye; exit 0' TERM; touch $ABT2_STATE/on; while :; do sleep 0.01; done`, true},
		{"used by the group", `(trap 'echo bye; exit 0' TERM; touch $ABT2_STATE/on; while :; do sleep 0.01; done) & wait`, true},
		{"over", `trap '' TERM; touch $ABT2_STATE/on; while :; do sleep 0.01; done`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := instance(t, test.script)
			if !test.polite {
				k.spec.StopGrace = durationpb.New(0)
			}
			k.run()
			k.poll("the trap", func() bool {
				_, err := os.Stat(filepath.Join(k.spec.StateDir, "on"))
				return err == nil
			})
			k.stop()
			if got := strings.Contains(k.log(), "bye\n"); got != test.polite {
				t.Errorf("log %q; said goodbye: %v, want %v", k.log(), got, test.polite)
			}
		})
	}
}

func TestEnvironmentIsExact(t *testing.T) {
	t.Setenv("ABT2_TOKEN_FILE", "/secret")
	t.Setenv("LD_PRELOAD", "")
	t.Setenv("LANG", "C.UTF-8")
	k := instance(t, "")
	k.spec.Argv = []string{"env"}
	k.spec.EnvFile = filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(k.spec.EnvFile, []byte("# not ours\nPASSWORD=a=b c\n\nLEVEL=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.spec.ModuleEnv = map[string]string{"LEVEL": "module", "PORT": "1"}
	k.spec.Abt2Env = map[string]string{"ABT2_PRODUCT": "default", "ABT2_NAME_STOCK": "127.0.0.1:7", "ABT2_INSTANCE": "forged"}
	k.run()
	k.until("a run", func(s *shimpb.Status) bool { return s.GetRestarts() > 0 })
	k.stop()
	run, _, _ := strings.Cut(k.log(), "abt2: ")
	got := strings.Split(strings.TrimSpace(run), "\n")
	want := []string{
		"ABT2_INSTANCE=order-3-17", "ABT2_MODULE=order", "ABT2_NAME_STOCK=127.0.0.1:7", "ABT2_PRODUCT=default",
		"ABT2_STATE=" + k.spec.StateDir, "ABT2_VERSION=order@3", "HOST=127.0.0.1", "JPAAS_HOST=127.0.0.1", "JPAAS_HTTP_PORT=20017", "LEVEL=module",
		"PASSWORD=a=b c", "PORT=20017",
	}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			want = append(want, name+"="+v)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q, want\n%q", got, want)
	}
}

func TestEnvFileIsReadAtEachStart(t *testing.T) {
	k := instance(t, `[ -n "$PASSWORD" ] && exec sleep 1000`)
	k.spec.EnvFile = filepath.Join(t.TempDir(), "secrets")
	k.run()
	s := k.until("backoff", func(s *shimpb.Status) bool { return s.GetState() == shimpb.State_STATE_BACKOFF })
	for _, want := range []string{k.spec.EnvFile, "create it"} {
		if !strings.Contains(s.GetDetail(), want) {
			t.Errorf("detail %q lacks %q", s.GetDetail(), want)
		}
	}
	if err := shimpb.WriteFile(k.spec.EnvFile, []byte("PASSWORD=tiger\n")); err != nil {
		t.Fatal(err)
	}
	k.until("healthy", healthy)
	err := filepath.WalkDir(k.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "tiger") {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	k.stop()
}

func TestTermEndsTheInstance(t *testing.T) {
	k := instance(t, `echo $$ > $ABT2_STATE/pid; exec sleep 1000`)
	k.run()
	child := k.pids("pid", 1)[0]
	stream, err := k.client.Watch(t.Context(), connect.NewRequest(&shimpb.WatchRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	k.ended()
	if lives(child) {
		t.Error("the child lives on")
	}
	for stream.Receive() {
	}
	if err := stream.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}
