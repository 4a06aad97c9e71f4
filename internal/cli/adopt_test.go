package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// adoption is a machine on which four services run behind an nginx.
type adoption struct {
	t        *testing.T
	dir, bin string
	replace  []string // what the document says, and what it is here
	services map[string]*exec.Cmd
}

// TestAdopt follows docs/adopt.md word for word, under load: not a request fails
// from the first command to the last, and no service is started again.
func TestAdopt(t *testing.T) {
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("ABT2_CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("docs/adopt.md needs an nginx: %v", err)
	}
	a := &adoption{t: t, dir: shortDir(t), bin: t.TempDir(), services: map[string]*exec.Cmd{}}
	buildPrograms(t, a.bin)
	a.start("stock", "127.0.0.1:9004", "")
	a.start("order", "127.0.0.1:9003", "127.0.0.1:9004")
	a.start("api", "127.0.0.1:9002", "127.0.0.1:9003")
	a.start("web", "127.0.0.1:9001", "")
	front := a.nginx()

	load := startSteady(front, steadyRate(t))
	printed := a.follow("../../docs/adopt.md")
	sent, failed := load()
	t.Logf("%d requests, %d failed", sent, len(failed))
	if sent == 0 || len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %q", len(failed), sent, failed[:min(len(failed), 3)])
	}
	old, released := "api > order > stock", "new api > order > stock"
	if want := []string{old, old, released, old, released, old, old}; !slices.Equal(printed, want) {
		t.Errorf("users saw %q, want %q", printed, want)
	}
	for name, cmd := range a.services {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%s does not run any more: %v", name, err)
		}
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "abt2-") // sockets in it need short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// here gives an address of the document a port of this machine.
func (a *adoption) here(address string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	defer l.Close()
	a.replace = append(a.replace, address, l.Addr().String())
	return l.Addr().String()
}

// start runs a service as its owner does, and returns when it answers.
func (a *adoption) start(name, address, next string) {
	host, port, _ := net.SplitHostPort(a.here(address))
	cmd := exec.Command(filepath.Join(a.bin, "module"))
	cmd.Env = []string{"HOST=" + host, "PORT=" + port, "NAME=" + name, "NEXT=" + strings.NewReplacer(a.replace...).Replace(next)}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.services[name] = cmd
	a.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	a.await("http://" + net.JoinHostPort(host, port) + "/healthz")
}

func (a *adoption) await(url string) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatal(err)
		}
	}
}

// nginx runs somebody's nginx in front of the services.
func (a *adoption) nginx() (front string) {
	address := a.here("127.0.0.1:80 ")
	a.replace[len(a.replace)-2] = "127.0.0.1:80/" // not the beginning of another port
	a.replace[len(a.replace)-1] += "/"
	a.write("nginx/nginx.conf", fmt.Sprintf(`
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	include %[1]s/conf.d/*.conf;
}`, filepath.Join(a.dir, "nginx")))
	a.write("nginx/conf.d/shop.conf", a.said(`
upstream web { server 127.0.0.1:9001; }
upstream api { server 127.0.0.1:9002; }
server {
	listen `)+address+`;
	proxy_set_header Host $host;
	location / { proxy_pass http://web; }
	location /api { proxy_pass http://api; }
}`)
	a.replace = append(a.replace, "/etc/nginx", filepath.Join(a.dir, "nginx"), "/run/nginx.pid", filepath.Join(a.dir, "nginx", "nginx.pid"))
	if out, err := a.nginxCommand().CombinedOutput(); err != nil {
		a.t.Fatalf("nginx: %v\n%s", err, out)
	}
	a.t.Cleanup(func() {
		if out, err := a.nginxCommand("-s", "quit").CombinedOutput(); err != nil {
			a.t.Errorf("nginx: %v\n%s", err, out)
		}
	})
	a.await("http://" + address + "/")
	return "http://" + address
}

func (a *adoption) nginxCommand(args ...string) *exec.Cmd {
	prefix := filepath.Join(a.dir, "nginx")
	return exec.Command("nginx", append([]string{"-p", prefix, "-c", filepath.Join(prefix, "nginx.conf")}, args...)...)
}

func (a *adoption) write(name, content string) {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		a.t.Fatal(err)
	}
}

// said is what the document says, of this machine.
func (a *adoption) said(text string) string { return strings.NewReplacer(a.replace...).Replace(text) }

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// follow runs the commands of a document, and returns what users saw.
func (a *adoption) follow(doc string) (pages []string) {
	a.t.Helper()
	b, err := os.ReadFile(doc)
	if err != nil {
		a.t.Fatal(err)
	}
	a.here("127.0.0.1:8080")
	api := a.here("127.0.0.1:7070")
	a.replace = append(a.replace, "/srv/abt2", filepath.Join(a.dir, "data"))
	a.write("work/build/api", "#!/bin/sh\nNAME='new api' exec module\n")
	script := `set -eu
nginx() { command nginx -p "$NGINX_DIR" -c "$NGINX_DIR/nginx.conf" "$@"; }
abt2() { if [ "$1" = server ]; then shift; command abt2 server --allow-root --listen="$ABT2_SERVER" "$@"; else command abt2 "$@"; fi; }
`
	for _, block := range shellBlock.FindAllStringSubmatch(string(b), -1) {
		script += a.said(block[1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.write("work/follow", script)
	cmd := exec.CommandContext(ctx, "bash", "./follow")
	cmd.Dir = filepath.Join(a.dir, "work")
	cmd.Env = append(os.Environ(), "PATH="+a.bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "NGINX_DIR="+filepath.Join(a.dir, "nginx"), "ABT2_SERVER="+api)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	a.t.Cleanup(func() { // where the script did not come to its end
		down := exec.Command(filepath.Join(a.bin, "abt2"), "down", "--yes", "--data="+filepath.Join(a.dir, "data"))
		_ = down.Run()
	})
	if err := cmd.Run(); err != nil {
		a.t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, " > order > ") {
			pages = append(pages, strings.TrimSpace(line))
		}
	}
	return pages
}

// steadyRate is how many requests are sent a second.
func steadyRate(t *testing.T) int {
	text := os.Getenv("ABT2_ADOPT_RATE")
	if text == "" {
		return 100
	}
	rate, err := strconv.Atoi(text)
	if err != nil || rate < 1 {
		t.Fatalf("ABT2_ADOPT_RATE %q: must be a number of requests a second", text)
	}
	return rate
}

// startSteady sends requests at a constant rate until it is told to stop, and
// then returns how many there were and why some failed.
func startSteady(front string, rate int) (stop func() (sent int, failed []string)) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var sent int
	var failed []string
	var requests, loop sync.WaitGroup
	loop.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			requests.Go(func() {
				why := ask(client, front+[]string{"/", "/api"}[n%2])
				mu.Lock()
				defer mu.Unlock()
				if sent++; why != "" {
					failed = append(failed, why)
				}
			})
		}
	})
	return func() (int, []string) {
		cancel()
		loop.Wait()
		requests.Wait()
		client.CloseIdleConnections()
		return sent, failed
	}
}

func ask(client *http.Client, url string) (failed string) {
	res, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err.Error()
	case res.StatusCode != http.StatusOK:
		return res.Status + " " + string(b)
	}
	return ""
}
