// Package shop_test runs the shop as on a laptop: without abt2, every module a
// process of its own that finds the others at static addresses.
package shop_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"abt2.dev/examples/shop/hop"
)

// build compiles the modules into a folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-ldflags=-X main.season=summer -X main.discount=20", "-o", dir,
		"./web", "./api", "./order", "./stock", "./report")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

var serving = regexp.MustCompile(`address=(\S+)`)

// start runs a module and returns its address. When the test ends the module
// is told to, and must end well.
func start(t *testing.T, dir, module, static string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, module))
	cmd.Env = []string{"PORT=0", "ABT2_STATIC=" + static}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for lines.Scan() {
			t.Logf("%s: %s", module, lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s did not end well: %v", module, err)
		}
	})
	for lines.Scan() {
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("%s ended before it served", module)
	return ""
}

func get(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestShopOnALaptop(t *testing.T) {
	dir := build(t)
	stock := start(t, dir, "stock", "")
	order := start(t, dir, "order", "stock="+stock)
	web := start(t, dir, "web", "order="+order)
	api := start(t, dir, "api", "order="+order)

	for url, want := range map[string][]string{
		"http://" + web + "/":             {"web", "order", "stock"},
		"http://" + web + "/json":         {"web", "order", "stock"},
		"http://" + api + "/api/products": {"api", "order", "stock"},
		"http://" + order + "/products":   {"order", "stock"},
	} {
		resp, body := get(t, url, "application/json")
		var answer struct {
			Products []struct {
				Name        string
				Cents, Left int
			}
			Hops []hop.Hop
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s: %s: %v\n%s", url, resp.Status, err, body)
			continue
		}
		var hops []string
		for _, h := range answer.Hops {
			hops = append(hops, h.Name())
		}
		if !slices.Equal(hops, want) {
			t.Errorf("%s: hops %q, want %q", url, hops, want)
		}
		if p := answer.Products; len(p) != 4 || p[0].Cents != 1440 || p[0].Left != 12 {
			t.Errorf("%s: products %+v, want tea first, at 14.40, 12 left", url, p)
		}
	}
	for _, address := range []string{web, api, order, stock} {
		if resp, _ := get(t, "http://"+address+"/healthz", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: health %s", address, resp.Status)
		}
	}
	resp, body := get(t, "http://"+web+"/", "text/html")
	if ct := resp.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/html") {
		t.Errorf("content type %q", ct)
	}
	for _, want := range []string{"summer catalogue", "Everything 20 % off", "Oolong tea", "14.40", "12 left", "<code>stock</code>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}

	report := exec.Command(filepath.Join(dir, "report"))
	report.Env = []string{"ABT2_NAME_ORDER=" + order}
	out, err := report.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	report.Stderr = os.Stderr
	if err := report.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if want := "report: 62 articles worth 670.72; asked a laptop a laptop\n"; line != want {
		t.Errorf("report printed %q, want %q", line, want)
	}
	if err := report.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := report.Wait(); err != nil {
		t.Errorf("report did not end well: %v", err)
	}
}

// A module whose next hop is away says so, and is healthy all the same.
func TestNextHopAway(t *testing.T) {
	dir := build(t)
	order := start(t, dir, "order", "stock=127.0.0.1:1")
	resp, body := get(t, "http://"+order+"/products", "")
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "stock") {
		t.Errorf("%s %s, want a 502 that names stock", resp.Status, body)
	}
	if resp, _ := get(t, "http://"+order+"/healthz", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("health %s", resp.Status)
	}
}
