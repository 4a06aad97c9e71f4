package navi_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The libraries that Navi's client is made with, as Debian packages them.
var jars = []string{"jackson-core-asl.jar", "jackson-mapper-asl.jar", "slf4j-api.jar"}

// peer is who is at the other end: Navi's own client and codec where ABT2_NAVI
// is their class path, and else what stands in for them.
func peer() string {
	if os.Getenv("ABT2_NAVI") != "" {
		return "Navi"
	}
	return "StandIn"
}

// compiled is the folder that classes has made; empty: none.
var compiled string

// classes compiles the peer's programs, once.
var classes = sync.OnceValues(func() (folder string, err error) {
	folder, err = os.MkdirTemp("", "navi-classes-")
	if err != nil {
		return "", err
	}
	compiled = folder
	args := []string{"-proc:none", "-nowarn", "-encoding", "UTF-8", "-cp", classPath(), "-d", folder}
	folders := []string{"*.java", strings.ToLower(peer()) + "/*.java"}
	if binary() {
		folders = append(folders, "binary/*.java")
	}
	for _, sources := range folders {
		found, err := filepath.Glob(filepath.Join("testdata/java", sources))
		if err != nil {
			return "", err
		}
		args = append(args, found...)
	}
	out, err := exec.Command("javac", args...).CombinedOutput()
	if err != nil {
		return "", &compileError{out, err}
	}
	return folder, nil
})

type compileError struct {
	output []byte
	err    error
}

func (e *compileError) Error() string { return e.err.Error() + "\n" + string(e.output) }

func classPath() string {
	var paths []string
	for _, jar := range jars {
		paths = append(paths, filepath.Join("/usr/share/java", jar))
	}
	if navi := os.Getenv("ABT2_NAVI"); navi != "" {
		paths = append(paths, navi)
	}
	return strings.Join(paths, string(os.PathListSeparator))
}

// needJava skips a test on a machine without what the peer needs.
func needJava(t testing.TB) {
	t.Helper()
	missing := ""
	if _, err := exec.LookPath("javac"); err != nil {
		missing = "javac (Debian: openjdk-17-jdk-headless)"
	}
	for _, jar := range jars {
		if _, err := os.Stat(filepath.Join("/usr/share/java", jar)); err != nil {
			missing = jar + " (Debian: libjackson-json-java, libslf4j-java)"
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
		t.Fatalf("%s is missing", missing)
	}
	t.Skipf("%s is missing", missing)
}

// program is a running Java program of testdata.
type program struct {
	in  io.Writer
	out *bufio.Scanner
}

// startJava starts the peer in a role.
func startJava(t testing.TB, role string) *program {
	t.Helper()
	return startJavaClass(t, peer()+role)
}

func startJavaClass(t testing.TB, class string, arguments ...string) *program {
	t.Helper()
	needJava(t)
	folder, err := classes()
	if err != nil {
		t.Fatal(err)
	}
	// Jackson and protostuff of Navi's time look into what Java 16 has closed.
	cmd := exec.Command("java", append([]string{"--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/java.util=ALL-UNNAMED", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx64m", "-cp", folder + string(os.PathListSeparator) + classPath(), class}, arguments...)...)
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
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", class, err)
		}
	})
	return &program{in: in, out: bufio.NewScanner(out)}
}

// ask writes a line and returns the next one that the program prints.
func (p *program) ask(t testing.TB, words ...string) string {
	t.Helper()
	if _, err := io.WriteString(p.in, strings.Join(words, "\t")+"\n"); err != nil {
		t.Fatal(err)
	}
	return p.line(t)
}

func (p *program) line(t testing.TB) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the program has ended: %v", p.out.Err())
	}
	return p.out.Text()
}

// javaCaller starts the peer's client.
func javaCaller(t testing.TB) *program { return startJava(t, "Caller") }

// javaServer starts a server of Orders and returns its address.
func javaServer(t testing.TB) string { return startJava(t, "Server").line(t) }
