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

// classes compiles Navi's client and the programs of testdata, once.
var classes = sync.OnceValues(func() (folder string, err error) {
	folder, err = os.MkdirTemp("", "navi-classes-")
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob("testdata/java/*.java")
	if err != nil {
		return "", err
	}
	args := []string{"-proc:none", "-nowarn", "-encoding", "UTF-8", "-sourcepath", "testdata/java/navi:testdata/java", "-cp", classPath(), "-d", folder}
	out, err := exec.Command("javac", append(args, sources...)...).CombinedOutput()
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
	return strings.Join(paths, string(os.PathListSeparator))
}

// needJava skips a test on a machine without what Navi's client needs.
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

func startJava(t testing.TB, class string) *program {
	t.Helper()
	needJava(t)
	folder, err := classes()
	if err != nil {
		t.Fatal(err)
	}
	// Jackson of Navi's time looks into exceptions, which Java 16 has closed.
	cmd := exec.Command("java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx64m", "-cp", folder+string(os.PathListSeparator)+classPath(), class)
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

// javaServer starts a server of Orders and returns its address.
func javaServer(t testing.TB) string { return startJava(t, "NaviServer").line(t) }
