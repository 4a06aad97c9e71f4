package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
)

// TestCommandSees: the plan on its input, and nothing of the server's in its environment.
func TestCommandSees(t *testing.T) {
	t.Setenv("SECRET_OF_SERVER", "1")
	dir := t.TempDir()
	if _, err := ask(t, shell(t, "", "cat >"+dir+"/plan; env >"+dir+"/env; pwd >"+dir+"/pwd")); err != nil {
		t.Fatal(err)
	}
	var got abt2.HookCall
	b, _ := os.ReadFile(dir + "/plan")
	if err := json.Unmarshal(b, &got); err != nil || got.Format != 1 || got.When != abt2.HookBefore || got.To != 43 || got.Session.Description != "sprint 44" || got.Plan[0].To.String() != "web@7" {
		t.Errorf("plan %s: %v", b, err)
	}
	if bytes.Contains(b, []byte(token(cookie))) {
		t.Errorf("the plan has the cookie: %s", b)
	}
	env, _ := os.ReadFile(dir + "/env")
	for _, line := range []string{"ABT2_WHEN=before", "ABT2_VERB=commit", "ABT2_PRODUCT=default", "ABT2_OPERATOR=lihua", "ABT2_FROM=42", "ABT2_TO=43", "ABT2_EDGE=http://127.0.0.1:8080", "ABT2_COOKIE=" + cookie} {
		if !strings.Contains("\n"+string(env), "\n"+line+"\n") {
			t.Errorf("the environment lacks %s:\n%s", line, env)
		}
	}
	if strings.Contains(string(env), "SECRET_OF_SERVER") || strings.Contains(string(env), "ABT2_OUTCOME") {
		t.Errorf("the environment has too much:\n%s", env)
	}
	if pwd, _ := os.ReadFile(dir + "/pwd"); string(pwd) != "/\n" {
		t.Errorf("works in %s", pwd)
	}
}

// A plan larger than a pipe, which nobody reads, stops nothing.
func TestPlanUnread(t *testing.T) {
	c := call()
	for range 5000 {
		c.Plan = append(c.Plan, c.Plan[0])
	}
	h := New([]abt2.Hook{shell(t, "", "exit 0")}, slog.New(slog.DiscardHandler))
	if err := h.Before(t.Context(), c, func(string) {}); err != nil {
		t.Error(err)
	}
}

// TestHang: neither the command nor its children outlive its time, deaf ones included.
func TestHang(t *testing.T) {
	for name, trap := range map[string]string{"obeys": "", "deaf": "trap '' TERM; "} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pids")
			h := shell(t, "slow", trap+"echo waiting for a second person\nsleep 600 & echo $$ $! >"+file+"; wait; sleep 600")
			h.Timeout = time.Second
			refused(t, h, "it did not end within its timeout of 1s", "\n    waiting for a second person")
			gone(t, file)
		})
	}
}

// gone waits until the processes named in a file have ended.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(5 * time.Millisecond) // the system tells nobody but the parent
		defer tick.Stop()
		for deadline := time.Now().Add(30 * time.Second); !ended(pid); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", pid)
			}
		}
	}
}

// ended reports whether a process is gone, or only waits for its parent to look at it.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && strings.HasPrefix(rest, "Z")
}

// What a command leaves behind, its output still open, ends with it.
func TestLeftBehind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	if _, err := ask(t, shell(t, "", "sleep 600 & echo $! >"+file)); err != nil {
		t.Fatal(err)
	}
	gone(t, file)
}

func TestCancel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	rollback := errors.New("superseded")
	ctx, cancel := context.WithCancelCause(t.Context())
	h := New([]abt2.Hook{shell(t, "", "sleep 600 & echo $! $$ >"+file+"; wait"), shell(t, "", "touch "+file+".2")}, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- h.Before(ctx, call(), func(string) {}) }()
	tick := time.NewTicker(5 * time.Millisecond) // a file tells nobody that it has grown
	defer tick.Stop()
	for b := []byte(nil); !bytes.HasSuffix(b, []byte("\n")); <-tick.C {
		b, _ = os.ReadFile(file)
	}
	cancel(rollback)
	if err := <-done; !errors.Is(err, rollback) {
		t.Errorf("got %v", err)
	}
	gone(t, file)
	if _, err := os.Stat(file + ".2"); err == nil {
		t.Error("the next hook was asked")
	}
}

func TestMissingProgram(t *testing.T) {
	h := shell(t, "gone", "")
	h.Command = []string{"/nowhere/approve.sh"}
	refused(t, h, "cannot be started", "/nowhere/approve.sh", "see that it is there")
	h = shell(t, "plain", "")
	if err := os.Chmod(h.Command[0], 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, h, "permission denied")
}

func TestCommandOutput(t *testing.T) {
	for name, tc := range map[string]struct {
		script, want string
		cut          bool
	}{
		"both":   {"echo out; echo err >&2; exit 1", "\n    out\n    err", false},
		"binary": {`printf 'a\000\033[31m\377\376b\r\n'; head -c 3000 /dev/zero; echo; echo end; exit 1`, "\n    a\ufffd[31m\ufffdb\n    \ufffd\n    end", false},
		"huge":   {"yes 0123456789 | head -c 3000000; echo; echo 'the end'; exit 1", "\n    the end", true},
		"cookie": {`echo "curl: $ABT2_COOKIE"; exit 1`, "curl: abt2=(cookie)", false},
		"killed": {"kill -9 $$", "it ended with signal: killed", false},
	} {
		got := refused(t, shell(t, "", tc.script), tc.want)
		if len(got) > 3*mostOutput || strings.Contains(got, token(cookie)) {
			t.Errorf("%s: %d bytes: %.200q", name, len(got), got)
		}
		if strings.Contains(got, "bytes before this are left out") != tc.cut {
			t.Errorf("%s: %.200q", name, got)
		}
	}
}
