package disconftest

import (
	"bufio"
	"cmp"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Web is a program in Java that does what a disconf-web does. Its methods end the
// test when they fail, so they are for the test's own goroutine.
type Web struct {
	t       testing.TB
	in      io.Writer
	lines   *bufio.Scanner
	Address string // host:port
}

// WebSettings are what a disconf-web is configured with.
type WebSettings struct {
	ZooKeeper, Prefix string
	Tell              string // where clients find ZooKeeper; empty: at the same place
	App, Version, Env string
	User, Password    string
}

// StartWeb runs a disconf-web that has the keys, like item/abt2.online, whose ids
// are 1, 2, …. It ends with the test.
func StartWeb(t testing.TB, s WebSettings, keys ...string) *Web {
	t.Helper()
	needJava(t, []string{zookeeper}, packages)
	folder, err := compile(t, "peer/DisconfWeb.java", []string{zookeeper})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx64m", "-Dsun.net.httpserver.nodelay=true", "-cp", join(zookeeper, folder), "DisconfWeb",
		s.ZooKeeper, cmp.Or(s.Tell, s.ZooKeeper), s.Prefix, s.App + "_" + s.Version + "_" + s.Env, s.User, s.Password,
	}
	cmd := exec.Command("java", append(args, keys...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // tells it to end
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	w := &Web{t: t, in: in, lines: bufio.NewScanner(out)}
	w.Address = net.JoinHostPort("127.0.0.1", w.line())
	return w
}

func (w *Web) line() string {
	w.t.Helper()
	if !w.lines.Scan() {
		w.t.Fatalf("disconf-web has ended: %v", w.lines.Err())
	}
	return w.lines.Text()
}

// Change changes a value as an operator does, and returns what it says: ok, or why
// it could not notify the clients; the value is changed either way.
func (w *Web) Change(key, value string) string {
	w.t.Helper()
	return w.tell(key + " " + strings.ReplaceAll(value, "\n", `\n`))
}

// SignOut ends the session of whoever is signed in.
func (w *Web) SignOut() {
	w.t.Helper()
	if said := w.tell("-"); said != "ok" {
		w.t.Fatalf("disconf-web says %q", said)
	}
}

func (w *Web) tell(line string) (answer string) {
	w.t.Helper()
	if _, err := io.WriteString(w.in, line+"\n"); err != nil {
		w.t.Fatal(err)
	}
	return w.line()
}
