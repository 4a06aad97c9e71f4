package disconftest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Callee is what an edge service calls: a module, by Navi's namespace and interface.
type Callee struct{ Module, Namespace, Interface string }

// StartEdge runs an edge service in Java that disconf tells what is online, and
// returns the address where it serves users; peer/EdgeService.java documents its
// answers. It ends with the test.
func StartEdge(t testing.TB, s Settings, c Callee) (address string) {
	t.Helper()
	needJava(t, []string{zookeeper}, packages)
	folder, err := compile(t, "peer/EdgeService.java", []string{zookeeper})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx128m", "-cp", join(zookeeper, folder),
		"EdgeService", s.Server, s.App, s.Version, s.Env, c.Module, c.Namespace, c.Interface)
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
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the edge service has ended: %v", lines.Err())
	}
	return lines.Text()
}
