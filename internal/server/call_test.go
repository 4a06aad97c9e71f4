package server_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"abt2.dev"
)

// TestCall calls methods of a service in Java that abt2 did not start.
func TestCall(t *testing.T) {
	address := javaService(t)
	in := prepare(t)
	in.start()
	in.create()
	_, err := in.api.Put(t.Context(), abt2.PutRequest{
		By: ann, Product: abt2.DefaultProduct, Init: true,
		Modules: []abt2.PutModule{{Module: "order", File: []byte("kind: service\nexternal: [" + address + "]\nnavi: {interface: Orders}\n")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	shipped := in.verb(abt2.VerbShip)
	preview, token := shipped.To, abt2.Token(strings.TrimPrefix(shipped.Cookie, "abt2="))
	for _, tc := range []struct {
		name   string
		r      abt2.CallRequest
		status int
		result string // or message of a status, or of an error with code
		code   abt2.Code
	}{
		{name: "environment", r: abt2.CallRequest{Method: "get", Arguments: []string{"7"}, Environment: preview}, result: `{"id":7,"item":"book"}`},
		{name: "token", r: abt2.CallRequest{Method: "get", Arguments: []string{"7"}, Token: token}, result: `{"id":7,"item":"book"}`},
		{name: "types", r: abt2.CallRequest{Method: "join", Arguments: []string{`"ab"`, "3"}, Types: []string{"java.lang.String", "int"}, Token: token}, result: `"ababab"`},
		{name: "wrong types", r: abt2.CallRequest{Method: "join", Arguments: []string{`"ab"`, "3"}, Token: token}, status: 1, result: "join"},
		{name: "failure", r: abt2.CallRequest{Method: "refuse", Arguments: []string{`"not today"`}, Token: token}, status: 2, result: "not today"},
		{name: "nothing online", r: abt2.CallRequest{Method: "get", Arguments: []string{"7"}}, code: abt2.CodeNotFound, result: "not part of environment 1"},
		{name: "no such environment", r: abt2.CallRequest{Method: "get", Environment: 999}, code: abt2.CodeNotFound, result: "environment 999"},
		{name: "another token", r: abt2.CallRequest{Method: "get", Token: "Zm9v"}, code: abt2.CodeNotFound, result: "selects no environment"},
		{name: "another interface", r: abt2.CallRequest{Interface: "Stock", Method: "get", Token: token}, code: abt2.CodeFailed, result: "/service_api/Stock"},
		{name: "no such module", r: abt2.CallRequest{Module: "stock", Method: "get", Token: token}, code: abt2.CodeNotFound, result: "not part of environment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.r.Product = abt2.DefaultProduct
			if tc.r.Module == "" {
				tc.r.Module = "order"
			}
			a, err := in.api.Call(t.Context(), tc.r)
			if tc.code != "" {
				if abt2.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.result) {
					t.Errorf("%v, want %s: %s", err, tc.code, tc.result)
				}
				return
			}
			if err != nil || a.Status != tc.status || a.Environment != preview || a.Address != address || !strings.Contains(a.Result+a.Message, tc.result) {
				t.Errorf("%+v, %v, want status %d and %s", a, err, tc.status, tc.result)
			}
		})
	}
}

// javaService runs the service in Java of lane/navi's tests and returns where it answers.
func javaService(t *testing.T) string {
	t.Helper()
	var jars []string
	for _, jar := range []string{"jackson-core-asl.jar", "jackson-mapper-asl.jar", "slf4j-api.jar"} {
		jars = append(jars, filepath.Join("/usr/share/java", jar))
	}
	_, err := exec.LookPath("javac")
	if _, missing := os.Stat(jars[1]); err != nil || missing != nil {
		if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
			t.Fatal("a JDK or Jackson is missing; apt-get install --no-install-recommends openjdk-17-jdk-headless libjackson-json-java libslf4j-java")
		}
		t.Skip("a JDK or Jackson is missing")
	}
	const sources = "../../lane/navi/testdata/java"
	classes, classpath := t.TempDir(), strings.Join(jars, ":")
	out, err := exec.Command("javac", "-proc:none", "-nowarn", "-cp", classpath, "-sourcepath", sources, "-d", classes, sources+"/standin/StandInServer.java").CombinedOutput()
	if err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	cmd := exec.Command("java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", classes+":"+classpath, "StandInServer")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // tells it to end
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatalf("the service has ended: %v", lines.Err())
	}
	return lines.Text()
}
