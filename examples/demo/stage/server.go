package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// server is `abt2 server`, which outlives the stage's owner if nobody strikes it.
type server struct {
	api   string // host:port
	pid   int
	ended chan struct{} // closed when the process has been waited for, and whoever followed it
	err   error         // how it ended; read after ended
}

var address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)

// Start starts the server, with these flags beside the usual ones, and returns
// when it is ready, with the line it said so in and the time that took.
func (s *Stage) Start(ctx context.Context, flags ...string) (line string, ready time.Duration, err error) {
	logPath := filepath.Join(s.Dir, "server.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	defer log.Close()
	cmd := exec.Command(s.Binary(), append([]string{"server", "--data=" + s.Data(),
		"--listen=127.0.0.1:0", "--edge-listen=127.0.0.1:0", "--allow-root"}, flags...)...)
	cmd.Stderr = log
	// Ctrl-C is for the demo, which then strikes the stage in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return "", 0, err
	}
	srv := &server{pid: cmd.Process.Pid, ended: make(chan struct{})}
	s.server = srv
	lines := make(chan string, 1)
	go func() {
		defer close(srv.ended)
		out := bufio.NewScanner(stdout)
		if out.Scan() {
			lines <- out.Text()
		}
		close(lines)
		_, _ = io.Copy(io.Discard, stdout) // until a server that has followed this one has ended, too
		srv.err = cmd.Wait()
	}()
	select {
	case line = <-lines:
		if srv.api = address.FindString(line); srv.api == "" {
			err = fmt.Errorf("the server said %q instead of its addresses; its log: %s", line, logPath)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	ready = time.Since(begun)
	if err != nil {
		_ = cmd.Process.Kill() // what it started is ended by Strike
		<-srv.ended
		srv.err = nil
	}
	return line, ready, err
}

// wait returns when the process has ended, and those that followed it when a
// drill had it killed.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-s.ended:
		var exit *exec.ExitError
		if errors.As(s.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			return nil
		}
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
