package cli_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Whole commands, with the real program. testdata/script holds one story a
// file; beside testscript's own commands there are:
//
//	exits STATUS PROGRAM ARG...   run it; the exit status must be this one
//	freshdata                     make a data folder with a short path, in ABT2_DATA; what runs on it ends with the script
//	serve [ARG...]                start abt2 server on free ports and wait until it is ready; sets ABT2_SERVER, EDGE (a URL), EDGE_ADDRESS, DNS_HOST and DNS_PORT
//	stopserver [kill]             end it by SIGTERM, or by SIGKILL
//	fetch STATUS PATH REGEXP [COOKIE]   ask the edge; status and body must be so
//	lookup STATUS PATH REGEXP     ask the server for a name over HTTP; with ?wait= go on, as long as it takes, from what was seen last
//	background lookup ...         the same, beside what follows
//	background wait               until that is done
//	signalshim SIGNAL MODULE      send a signal to the keepers of a module's instances
//	eventually PROGRAM ARG...     run a program until it succeeds
//	waitline FILE REGEXP [VAR...] wait until a line of the file matches, and set the variables to its groups
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", nil, nil) }

// runScripts runs the scripts of a folder with variables and commands of their own.
func runScripts(t *testing.T, folder string, variables map[string]string, commands map[string]func(*testscript.TestScript, bool, []string)) {
	bin := t.TempDir()
	buildPrograms(t, bin, map[string]string{"abt2": "abt2.dev/cmd/abt2", "module": "./testdata/module"})
	all := map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "freshdata": freshData, "serve": serve, "stopserver": stopServer, "waitline": waitLine,
		"fetch": fetch, "signalshim": signalShim, "eventually": eventually,
		"lookup": lookupName, "background": background,
	}
	maps.Copy(all, commands)
	testscript.Run(t, testscript.Params{
		Dir: folder,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("ABT2_OP", "lihua")
			env.Setenv("ABT2_SERVER", "127.0.0.1:1") // nobody's, until serve
			for name, value := range variables {
				env.Setenv(name, value)
			}
			env.Values[watchKey{}] = &watcher{seen: map[string]string{}}
			env.Values[serverKey{}] = &server{program: filepath.Join(bin, "abt2")}
			return nil
		},
		Cmds:          all,
		UpdateScripts: *update,
	})
}

// buildPrograms builds programs, by their names, into a folder.
func buildPrograms(t testing.TB, bin string, sources map[string]string) {
	t.Helper()
	for name, source := range sources {
		build := exec.Command("go", append(append([]string{"build"}, raceFlags...), "-o", filepath.Join(bin, name), source)...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build, err, out)
		}
	}
}

// raceFlags make the program be built as the test was.
var raceFlags []string

// patience bounds what a script waits for; it is only reached when something is wrong.
const patience = 60 * time.Second

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func freshData(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: freshdata")
	}
	dir, err := os.MkdirTemp("/tmp", "abt2-") // sockets in it need short names
	ts.Check(err)
	ts.Setenv("ABT2_DATA", dir)
	ts.Defer(func() {
		if err := ts.Exec("abt2", "down", "--yes", "--data="+dir); err != nil {
			ts.Logf("abt2 down: %v", err) // the script may have failed for the same reason
		}
		if err := os.RemoveAll(dir); err != nil {
			ts.Logf("%v", err)
		}
	})
}

// server is a script's server: the program, and the process that serve has started last.
type server struct {
	program string
	cmd     *exec.Cmd
	output  chan struct{} // closed when cmd has ended its output
}

type serverKey struct{}

var readyLine = regexp.MustCompile(`^ready: api (\S+), edge (\S+), data \S+?(?:, dns (\S+?):(\d+))?(?:[,;]|$)`)

func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || ts.Getenv("ABT2_DATA") == "" {
		ts.Fatalf("usage, after freshdata: serve [ARG...]")
	}
	log, err := os.OpenFile(ts.MkAbs("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	s := ts.Value(serverKey{}).(*server)
	cmd := exec.Command(s.program, append([]string{"server", "--listen=127.0.0.1:0", "--edge-listen=127.0.0.1:0", "--allow-root"}, args...)...)
	for _, name := range []string{"PATH", "HOME", "ABT2_DATA"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	output := make(chan struct{})
	s.cmd, s.output = cmd, output
	ts.Defer(func() {
		_ = cmd.Process.Kill() // where stopserver has not ended it
		<-output
		_ = cmd.Wait()
		log.Close()
	})
	ready := make(chan []string, 1)
	go func() {
		defer close(output)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case m := <-ready:
		ts.Setenv("ABT2_SERVER", m[1])
		ts.Setenv("EDGE", m[2])
		ts.Setenv("EDGE_ADDRESS", strings.TrimPrefix(m[2], "http://"))
		ts.Setenv("DNS_HOST", m[3])
		ts.Setenv("DNS_PORT", m[4])
	case <-output:
		ts.Fatalf("the server ended before it was ready:\n%s", ts.ReadFile("server.log"))
	case <-time.After(patience):
		ts.Fatalf("the server is not ready within %s:\n%s", patience, ts.ReadFile("server.log"))
	}
}

func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*server)
	if neg || s.cmd == nil || len(args) > 1 || (len(args) == 1 && args[0] != "kill") {
		ts.Fatalf("usage, after serve: stopserver [kill]")
	}
	signal := syscall.SIGTERM
	if len(args) == 1 {
		signal = syscall.SIGKILL
	}
	ts.Check(s.cmd.Process.Signal(signal))
	select {
	case <-s.output:
	case <-time.After(patience):
		ts.Fatalf("the server has not ended within %s of %s:\n%s", patience, signal, ts.ReadFile("server.log"))
	}
	if err := s.cmd.Wait(); err != nil && signal == syscall.SIGTERM {
		ts.Fatalf("the server ended with %v:\n%s", err, ts.ReadFile("server.log"))
	}
}

func waitLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitline FILE REGEXP [VAR...]")
	}
	re, err := regexp.Compile(`(?m)` + args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond) // a file tells nobody that it has grown
	defer tick.Stop()
	for {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil && !os.IsNotExist(err) {
			ts.Fatalf("%v", err)
		}
		if m := re.FindStringSubmatch(string(b)); m != nil {
			for i, name := range args[2:] {
				if i+1 >= len(m) {
					ts.Fatalf("%s: has no group for %s", args[1], name)
				}
				ts.Setenv(name, m[i+1])
			}
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s has no line like %s within %s:\n%s", args[0], args[1], patience, strings.TrimSpace(string(b)))
		}
	}
}

func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage, after serve: fetch STATUS PATH REGEXP [COOKIE]")
	}
	r, err := http.NewRequest(http.MethodGet, ts.Getenv("EDGE")+args[1], nil)
	ts.Check(err)
	if len(args) == 4 {
		r.Header.Set("Cookie", args[3])
	}
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	if strconv.Itoa(res.StatusCode) != args[0] || !regexp.MustCompile(args[2]).Match(body) {
		ts.Fatalf("%s: %s\n%s\nwant %s and a body like %s", r.URL, res.Status, body, args[0], args[2])
	}
}

// killShim ends keepers as an operator's slip would. They are found by the
// folder that their command line names.
func signalShim(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage, after serve: signalshim SIGNAL MODULE")
	}
	ts.Check(ts.Exec("pkill", "-"+args[0], "-f", "abt2 shim --dir="+ts.Getenv("ABT2_DATA")+"/platform/instances/"+args[1]+"-"))
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually PROGRAM ARG...")
	}
	for deadline := time.Now().Add(patience); ; {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %v", args[0], err)
		}
	}
}
