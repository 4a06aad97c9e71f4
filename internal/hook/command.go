package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"abt2.dev"
)

// grace is how long a command may take to end that was asked to, and how long
// output is waited for that somebody else may still write.
const grace = 2 * time.Second

// inherited are the variables that a command gets from the server's own
// environment, where they are set.
var inherited = []string{"PATH", "HOME", "LANG", "TZ"}

// environment is what a command sees, and nothing else.
func environment(c abt2.HookCall) []string {
	var env []string
	for _, k := range inherited {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	env = append(env,
		"ABT2_WHEN="+string(c.When), "ABT2_VERB="+string(c.Verb), "ABT2_PRODUCT="+string(c.Product), "ABT2_OPERATOR="+c.Operator,
		"ABT2_FROM="+c.From.String(), "ABT2_TO="+c.To.String(), "ABT2_EDGE="+c.Edge, "ABT2_COOKIE="+c.Cookie, "ABT2_SHARE="+c.Share.String())
	if o := c.Outcome; o != nil {
		outcome := "ok"
		if !o.OK {
			outcome = string(o.Code)
		}
		env = append(env, "ABT2_OUTCOME="+outcome)
	}
	return env
}

// run runs a command in a session of its own, with stdin as its input, until it
// ends or ctx does: then its process group is asked to end, and killed. What the
// command leaves behind in its group is killed in any case.
func run(ctx context.Context, argv, env []string, stdin []byte, out io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = env, "/", grace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

	// Pipes of our own: those of exec would be waited for as long as anybody has
	// them open, before what the command left behind can be killed.
	input, feed, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("no pipe for its input: %w", err)
	}
	defer feed.Close()
	output, print, err := os.Pipe()
	if err != nil {
		input.Close()
		return fmt.Errorf("no pipe for its output: %w", err)
	}
	defer output.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, print, print
	err = cmd.Start()
	input.Close()
	print.Close()
	if err != nil {
		return fmt.Errorf("it cannot be started: %w; see that it is there and may be run by the server's user", err)
	}
	fed, printed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(fed)
		_, _ = feed.Write(stdin) // who does not read the plan does not want it
		feed.Close()
	}()
	go func() {
		defer close(printed)
		_, _ = io.Copy(out, output) // the end is no error, and neither is the deadline
	}()
	err = cmd.Wait()
	// Its number cannot have been given to another group in this moment: numbers
	// are given out in turn.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	feed.Close()
	_ = output.SetReadDeadline(time.Now().Add(grace)) // for what has left the session and still holds the pipe
	<-fed
	<-printed
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("it ended with %s", exit.ProcessState)
	}
	return err
}
