// Package disconftest runs clients of disconf, in Java, for tests: a program that
// does what disconf's own client was seen to do, or, with ABT2_DISCONF naming the
// compiled classes of that (github.com/knightliao/disconf, disconf-core and
// disconf-client, with disconf_sys.properties), that itself.
//
// It needs a JDK and Debian's package zookeeper; disconf's own client also its
// libraries, as Debian packages them. It uses the standard library alone.
package disconftest

import (
	"bufio"
	"embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

//go:embed java
var sources embed.FS

// zookeeper is where Debian's package puts its Java client.
const zookeeper = "/usr/share/java/zookeeper.jar"

// libraries are what disconf's own client is made with.
var libraries = []string{"gson", "httpclient", "httpcore", "commons-io", "commons-lang3", "commons-logging", "commons-codec", "guava", "slf4j-api"}

// packages of Debian are what the two need.
const (
	packages     = "openjdk-17-jdk-headless zookeeper"
	realPackages = packages + " libgoogle-gson-java libhttpclient-java libcommons-io-java libcommons-lang3-java libguava-java libslf4j-java"
)

// Real is where the classes of disconf's own client are; empty: not given.
func Real() string { return os.Getenv("ABT2_DISCONF") }

// Settings are a client's configuration.
type Settings struct {
	Server            string // host:port of disconf's GETs
	App, Version, Env string
	Host              string // by which it calls itself in ZooKeeper; not looked up
}

// Client is a JVM that is told values by disconf. Its methods end the test when
// they fail, so they are for the test's own goroutine.
type Client struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// Start runs a client that binds the keys, like item/abt2.online or
// file/abt2.properties, and returns when it watches all of them; Line returns
// then what came into effect first. It ends with the test. Without a JDK on this
// machine the test is skipped, or fails where ABT2_CI or CI is set.
func Start(t testing.TB, s Settings, keys ...string) *Client {
	t.Helper()
	c, err := start(t, s, keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t testing.TB, s Settings, keys []string) (*Client, error) {
	t.Helper()
	install, source := packages, "peer/DisconfClient.java"
	if Real() != "" {
		install, source = realPackages, "real/DisconfClient.java"
	}
	needJava(t, classpath(), install)
	folder, err := compile(t, source, classpath())
	if err != nil {
		return nil, err
	}
	work := t.TempDir() // where it puts files
	args := []string{"-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx64m", "-cp", join(append(classpath(), folder)...)}
	for name, value := range map[string]string{
		"disconf.enable.remote.conf":                      "true",
		"disconf.conf_server_host":                        s.Server,
		"disconf.app":                                     s.App,
		"disconf.version":                                 s.Version,
		"disconf.env":                                     s.Env,
		"disconf.conf_server_url_retry_times":             "1",
		"disconf.conf_server_url_retry_sleep_seconds":     "0",
		"disconf.user_define_download_dir":                work,
		"disconf.enable_local_download_dir_in_class_path": "false",
		"VCAP_APP_HOST":                                   s.Host,
	} {
		args = append(args, "-D"+name+"="+value)
	}
	cmd := exec.Command("java", append(append(args, "DisconfClient"), keys...)...)
	cmd.Dir, cmd.Stderr = work, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = in.Close() // tells it to end
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	return &Client{t, cmd, bufio.NewScanner(out)}, nil
}

// Line waits for the next value that comes into effect: key=value, and of an
// abt2.online the map of its environment behind a space. The values that it began
// with are followed by a line "ready".
func (c *Client) Line() string {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("disconf's client has ended: %v", c.lines.Err())
	}
	return c.lines.Text()
}

// Says ends the test unless the next line is the wanted one.
func (c *Client) Says(want string) {
	c.t.Helper()
	if got := c.Line(); got != want {
		c.t.Fatalf("disconf's client says %q, want %q", got, want)
	}
}

// Pause lets the JVM stand still, its connections kept, until Resume.
func (c *Client) Pause() { c.signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (c *Client) Resume() { c.signal(syscall.SIGCONT) }

func (c *Client) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// needJava skips or fails a test on a machine without a JDK or one of the jars.
func needJava(t testing.TB, jars []string, install string) {
	t.Helper()
	missing := ""
	for _, program := range []string{"javac", "java"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = program
		}
	}
	for _, jar := range jars {
		if _, err := os.Stat(jar); err != nil {
			missing = jar
		}
	}
	switch {
	case missing == "":
	case os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "":
		t.Fatalf("%s is missing; apt-get install --no-install-recommends %s", missing, install)
	default:
		t.Skipf("%s is missing; apt-get install --no-install-recommends %s", missing, install)
	}
}

func classpath() []string {
	if Real() == "" {
		return []string{zookeeper}
	}
	paths := []string{Real(), zookeeper}
	for _, name := range libraries {
		paths = append(paths, filepath.Join("/usr/share/java", name+".jar"))
	}
	return paths
}

// compile compiles a program of java into a folder that ends with the test.
func compile(t testing.TB, source string, jars []string) (folder string, err error) {
	work := t.TempDir()
	text, err := sources.ReadFile("java/" + source)
	if err != nil {
		return "", err
	}
	file := filepath.Join(work, path.Base(source))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("javac", "-proc:none", "-nowarn", "-encoding", "UTF-8", "-cp", join(jars...), "-d", work, file).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("javac: %w\n%s", err, out)
	}
	return work, nil
}

func join(paths ...string) string { return strings.Join(paths, string(os.PathListSeparator)) }
