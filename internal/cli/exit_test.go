package cli_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"abt2.dev"
)

// Every code of the service ends in the status that the help promises.
func TestExitStatusOfCodes(t *testing.T) {
	for code, want := range map[abt2.Code]int{
		abt2.CodeInvalid: 2, abt2.CodeNotFound: 2, abt2.CodeRefused: 4, abt2.CodeDifferences: 3, abt2.CodeOwner: 5, abt2.CodeUnconfirmed: 6,
		abt2.CodeCommitted: 8, abt2.CodeUnauthorized: 1, abt2.CodeUnavailable: 7, abt2.CodeFailed: 1, abt2.CodeConfirm: 2, abt2.CodeInternal: 1,
	} {
		res := run(t, world{args: "commit", svc: &fake{err: abt2.Wrap(code, errors.New("cause"), "what and what to do")}})
		if res.status != want || !strings.HasPrefix(res.stderr, "abt2: what and what to do") {
			t.Errorf("%s: status %d, want %d: %s", code, res.status, want, res.stderr)
		}
	}
	if res := run(t, world{args: "commit", svc: &fake{err: errors.New("no code")}}); res.status != 1 {
		t.Errorf("error without a code: status %d", res.status)
	}
}

// Wrong input says what was given, what is allowed and, where it is about the
// command line, which help to read. The service is not called.
func TestWrongInput(t *testing.T) {
	for _, tc := range []struct{ args, says string }{
		{"frobnicate", `"frobnicate": is not a command of abt2; abt2 --help lists them`},
		{"comit", `did you mean commit?`},
		{"commit now", `"now": takes no arguments`},
		{"commit --fast", "unknown flag: --fast"},
		{"commit --op=", `--op "": must not be empty`},
		{"commit '--op= '", `--op " ": must not be empty`},
		{"commit --product=UP", `product name "UP": must be 1 to 40 of`},
		{"commit --ack-timeout=soon", `invalid argument "soon"`},
		{"status --product=all", "reserved"},
		{"start again", `"again": takes no arguments`},
		{"config", `config "": must be one of put, drop, remove`},
		{"config bogus", `config "bogus": must be one of put, drop, remove`},
		{"env", `env "": must be one of show, diff`},
		{"config drop", "--name: must name a module"},
		{"config drop --name=Web", `module name "Web": must be`},
		{"config remove --name=all", "reserved"},
		{"config put", "--name: must name a module"},
		{"config put --name=web", "--path: must name a build"},
		{"config put --name=web! --path=x", `module name "web!"`},
		{"config put --from=x --name=web", `--from "x": names everything itself`},
		{"config put --from=x --kind=edge", `--from "x": names everything itself`},
		{"config put --name=web --env=NOVALUE", `--env "NOVALUE": must be NAME=VALUE`},
		{"config put --name=web --env=A=1 --env=A=2", "A is given twice"},
		{"config put --name=web --instances=many", `invalid argument "many"`},
		{"ship all web", `"all": stands alone`},
		{"ship WEB", `module name "WEB"`},
		{"unship", "needs modules, or all"},
		{"scale", "needs MODULE=N"},
		{"scale web", `"web": must be MODULE=N`},
		{"scale web=0", `"web=0": must be MODULE=N`},
		{"scale web=1001", "1 to 1000"},
		{"scale web=1 web=2", "web is given twice"},
		{"scale =1", `module name ""`},
		{"history --limit=-1", "--limit -1: must not be negative"},
		{"logs", "needs one MODULE"},
		{"logs web@x", `version "web@x"`},
		{"logs web@0", `version "web@0"`},
		{"logs Web", `module name "Web"`},
		{"env show", "needs the ID"},
		{"env show zero", `environment "zero": must be a number`},
		{"env show 0", `environment "0": must be a number`},
		{"env diff 1", "needs the IDs of two"},
		{"completion", "needs the shell"},
		{"completion csh", `shell "csh": must be one of`},
		{"help nothing", `"nothing": is not a command`},
		{"edge", `--dir "": must not be empty`},
		{"shim", `--dir "": must not be empty`},
		{"status \xff", `is not UTF-8`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			svc := &fake{}
			res := run(t, world{args: tc.args, svc: svc})
			if res.status != 2 || !strings.Contains(res.stderr, tc.says) || res.stdout != "" {
				t.Errorf("status %d\nstdout: %s\nstderr: %s\nwant: %s", res.status, res.stdout, res.stderr, tc.says)
			}
			if calls := svc.calls.String(); calls != "" {
				t.Errorf("the service was called: %s", calls)
			}
		})
	}
}

// What asks a person refuses to go on where there is none.
func TestNobodyToAsk(t *testing.T) {
	for _, w := range []world{
		{args: "clean --op=lihua", svc: &fake{status: openStatus()}},
		{args: "rollback", svc: &fake{confirm: "goes back to nothing"}},
		{args: "refresh", svc: &fake{steps: []string{"start web@6"}}},
		{args: "down"},
	} {
		w.stdin = "y\n" // not a terminal: not read
		res := run(t, w)
		if res.status != 2 || !strings.Contains(res.stderr, "add --yes") {
			t.Errorf("%s: status %d: %s", w.args, res.status, res.stderr)
		}
		if len(res.dirs) > 0 {
			t.Errorf("%s: was done: %v", w.args, res.dirs)
		}
	}
}

// Ctrl-C leaves a verb to the server and says how to come back.
func TestCtrlCDetaches(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	svc := &fake{duringRun: func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return abt2.Wrap(abt2.CodeFailed, ctx.Err(), "given up")
	}}
	res := run(t, world{args: "ship web --op=lihua", svc: svc, ctx: ctx})
	if res.status != 130 || !strings.Contains(res.stderr, "ship goes on in the server") || !strings.Contains(res.stderr, "abt2 ship web --op=lihua") {
		t.Errorf("status %d: %s", res.status, res.stderr)
	}
}

// Ctrl-C is how following logs ends.
func TestCtrlCEndsFollowing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	res := run(t, world{args: "logs web -f", ctx: ctx, svc: &fake{logs: "web-1-1\tone\n"}, stdout: writerFunc(func([]byte) (int, error) {
		cancel()
		return 0, nil
	})})
	if res.status != 0 || res.stdout != "web-1-1\tone\n" {
		t.Errorf("status %d: %s%s", res.status, res.stdout, res.stderr)
	}
}

// Ctrl-C is how watching a name ends.
func TestCtrlCEndsWatching(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	svc := &fake{lookup: lookup()}
	res := run(t, world{args: "name get order --watch", ctx: ctx, svc: svc, stdout: writerFunc(func([]byte) (int, error) {
		cancel()
		return 0, nil
	})})
	if res.status != 0 || !strings.HasPrefix(res.stdout, "127.0.0.1:20001\n") || !strings.Contains(svc.calls.String(), `"Seen":"d1"`) {
		t.Errorf("status %d: %s%s\n%s", res.status, res.stdout, res.stderr, svc.calls.String())
	}
}

// An interrupted question changes nothing.
func TestCtrlCWhileAsking(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	svc := &fake{status: openStatus()}
	res := run(t, world{args: "clean --op=lihua", terminal: true, ctx: ctx, svc: svc, stdinNever: true})
	if res.status != 130 || strings.Contains(svc.calls.String(), "Run") {
		t.Errorf("status %d: %s\n%s", res.status, res.stderr, svc.calls.String())
	}
}

// Output that nobody takes is a failure.
func TestOutputFails(t *testing.T) {
	res := run(t, world{args: "version", stdout: writerFunc(func([]byte) (int, error) { return 0, errors.New("no space left") })})
	if res.status != 1 || !strings.Contains(res.stderr, "no space left") {
		t.Errorf("status %d: %s", res.status, res.stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) {
	n, err := f(p)
	if err == nil {
		n = len(p)
	}
	return n, err
}

// Instances may print anything; a terminal must not obey it.
func TestEscapesAreTamed(t *testing.T) {
	evil := "\x1b]0;pwned\x07"
	res := run(t, world{args: "ship all", terminal: true, env: map[string]string{"NO_COLOR": "1"}, svc: &fake{
		progress: []abt2.Progress{{Text: evil}},
		outcome:  abt2.Outcome{Failed: []abt2.Failure{{Version: version("web@1"), Reason: evil, Log: []string{evil}}}},
	}})
	if all := res.stdout + res.stderr; strings.ContainsAny(all, "\x1b\x07") || !strings.Contains(all, "pwned") {
		t.Errorf("got %q", all)
	}
}

func TestExitStatusesAreInTheHelp(t *testing.T) {
	res := run(t, world{args: "--help"})
	for _, status := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 130} {
		if !strings.Contains(res.stdout, fmt.Sprintf("\n  %3d  ", status)) {
			t.Errorf("the help does not explain exit status %d", status)
		}
	}
}
