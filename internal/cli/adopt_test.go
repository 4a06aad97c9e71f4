package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
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

// TestAdopt follows docs/adopt.md: it executes the document's commands, on a
// real nginx and four processes that were there before, while users come at a
// constant rate.
func TestAdopt(t *testing.T) { adoptUnder(t, 50) }

// BenchmarkAdopt is that with more users.
func BenchmarkAdopt(b *testing.B) {
	for b.Loop() {
		u := adoptUnder(b, 1000)
		b.ReportMetric(float64(u.asked), "requests")
		b.ReportMetric(float64(u.asked)/u.took.Seconds(), "requests/s")
		b.ReportMetric(float64(u.failed), "failed")
		b.ReportMetric(float64(u.late), "late")
	}
}

// adoptUnder follows the document while users ask that often a second.
func adoptUnder(t testing.TB, rate int) *users {
	for _, program := range []string{"nginx", "curl", "pgrep", "ps"} {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		const advice = " is not installed; on Debian: apt-get install --no-install-recommends nginx-light curl procps"
		if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
			t.Fatal(program + advice)
		}
		t.Skip(program + advice)
	}
	g := readGuide(t, "../../docs/adopt.md")
	m := prepareMachine(t, g)
	users := newUsers(m.nginx)
	users.come(rate)
	defer users.leave()

	was, wasAPI := m.page("/"), m.page("/api") // by which processes, before abt2 was there
	checks := map[string]func(){
		"2. What runs becomes the first environment": func() { m.shows("/", "", "^"+was+"$") },
		"3. nginx sends users to the edge": func() {
			m.becomes("/", `^web:old:`+m.pid("web")+`:2 order:old:`+m.pid("order")+`: stock:old:`+m.pid("stock")+`:$`)
			m.becomes("/api", `^api:old:`+m.pid("api")+`:2 stock:old:`+m.pid("stock")+`:$`)
		},
		"4. The first service that abt2 runs": func() {
			m.shows("/", "", `^web:old:`+m.pid("web")+`:2 order:old`)
			m.shows("/", m.cookie(), `^web:new:\d+:3 order:old:`+m.pid("order")+`:3 stock:old:\d+:$`)
		},
		"Commit":               func() { m.shows("/", "", `^web:new:\d+:3 `) },
		"Roll back":            func() { m.shows("/", "", `^web:old:`+m.pid("web")+`:2 `) },
		"Commit again and end": func() { m.shows("/", "", `^web:new:\d+:3 `) },
		"5. A service that others call": func() {
			m.shows("/", "", `^web:new:\d+:3 order:old:`+m.pid("order")+`:3 `)
			m.shows("/", m.cookie(), `^web:new:\d+:4 order:new:\d+:4 stock:old:`+m.pid("stock")+`:4$`)
		},
		"Commit order":           func() { m.shows("/", "", `^web:new:\d+:4 order:new:\d+:4 stock:old:`+m.pid("stock")+`:4$`) },
		"Back to your processes": func() { m.shows("/", "", `^web:old:`+m.pid("web")+`:5 order:old:`+m.pid("order")+`: `) },
		"nginx without the edge": func() { m.shows("/", "", "^"+was+"$") },
		"Remove abt2": func() { // the same four processes
			m.shows("/", "", "^"+was+"$")
			m.shows("/api", "", "^"+wasAPI+"$")
			if _, err := os.Stat(m.data); !os.IsNotExist(err) {
				t.Errorf("the data folder is still there: %v", err)
			}
		},
	}
	for _, s := range g.steps {
		m.shell.run(m.here.Replace(s.commands))
		if check := checks[s.heading]; check != nil {
			check()
		}
		delete(checks, s.heading)
		t.Logf("%s: done; %s", s.heading, users)
	}
	for heading := range checks {
		t.Errorf("the document has no commands under %q", heading)
	}
	users.leave()
	t.Log(users)
	if users.failed > 0 {
		t.Errorf("%d of %d requests failed, such as:\n%s", users.failed, users.asked, strings.Join(users.complaints, "\n"))
	}
	return users
}

// guide is what of a document can be executed.
type guide struct {
	nginx string // the first block in nginx' language
	steps []step
}

// step is what stands in sh blocks under a heading.
type step struct{ heading, commands string }

func readGuide(t testing.TB, path string) guide {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g guide
	heading, language, inside, block := "", "", false, ""
	for line := range strings.Lines(string(text)) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && !inside:
			language, inside, block = fence, true, ""
		case isFence:
			inside = false
			if n := len(g.steps); language == "sh" && n > 0 && g.steps[n-1].heading == heading {
				g.steps[n-1].commands += block
			} else if language == "sh" {
				g.steps = append(g.steps, step{heading, block})
			} else if language == "nginx" && g.nginx == "" {
				g.nginx = block
			}
		case inside:
			block += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if g.nginx == "" || len(g.steps) == 0 {
		t.Fatalf("%s: has no commands", path)
	}
	return g
}

// machine is where the document is followed: everything of the document's has
// its place in folders of the test's and at free addresses.
type machine struct {
	t       testing.TB
	here    *strings.Replacer // from the document's names to this machine's
	pids    map[string]int    // of the services that were there before
	nginx   string            // its address
	program string            // abt2
	data    string            // its folder
	env     []string
	shell   *shell
}

// prepareMachine starts what was there before abt2.
func prepareMachine(t testing.TB, g guide) *machine {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	buildPrograms(t, bin, map[string]string{"abt2": "abt2.dev/cmd/abt2", "adopted": "./testdata/adopted"})
	program := filepath.Join(bin, "adopted")
	data, err := os.MkdirTemp("/tmp", "abt2-") // sockets in it need short names
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, pids: map[string]int{}, nginx: freeAddress(t), program: filepath.Join(bin, "abt2"), data: data}

	stock := m.start(program, "stock", "")
	order := m.start(program, "order", stock)
	api := m.start(program, "api", stock)
	web := m.start(program, "web", order)
	server := "abt2 server "
	if os.Geteuid() == 0 {
		server += "--allow-root "
	}
	conf := filepath.Join(dir, "nginx")
	m.here = strings.NewReplacer("127.0.0.1:9001", web, "127.0.0.1:9002", api, "127.0.0.1:9003", order, "127.0.0.1:9004", stock,
		"127.0.0.1:8080", freeAddress(t), "listen 80;", "listen "+m.nginx+";",
		"/etc/nginx", conf, "/run/nginx.pid", filepath.Join(conf, "nginx.pid"), "/srv/abt2", data, "abt2 server ", server)

	for _, name := range []string{"web", "order"} {
		folder := filepath.Join(dir, "build", name)
		calls := map[string]string{"web": "order", "order": "stock"}[name]
		writeFile(t, filepath.Join(folder, "module.yaml"), 0o644, `command: ["./`+name+`"]
env: {NAME: `+name+`, BUILD: new, CALLS: `+calls+`, FORWARD: "yes"}
`)
		b, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, name), 0o755, string(b))
	}
	writeFile(t, filepath.Join(dir, ".curlrc"), 0o644, `connect-to = "shop.example:80:`+m.nginx+`"`+"\n")

	m.startNginx(conf, bin, g.nginx)
	api = freeAddress(t)
	m.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CURL_HOME="+dir, "ABT2_LISTEN="+api, "ABT2_SERVER="+api)
	t.Cleanup(func() {
		down := exec.Command(m.program, "down", "--yes", "--data="+data)
		if out, err := down.CombinedOutput(); err != nil && t.Failed() {
			t.Logf("abt2 down: %v\n%s", err, out) // nothing is there, unless the test has failed
		}
		_ = os.RemoveAll(data)
	})
	m.shell = startShell(t, dir, m.env)
	return m
}

func writeFile(t testing.TB, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is one that no connection takes by chance meanwhile, and abt2
// neither: below the system's ports and abt2's own.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := "127.0.0.1:" + strconv.Itoa(10000+rand.IntN(8000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port from 10000 to 17999")
	return ""
}

// start starts a service and returns its address.
func (m *machine) start(program, name, calls string) string {
	m.t.Helper()
	cmd := exec.Command(program)
	cmd.Env = []string{"HOST=127.0.0.1", "PORT=0", "NAME=" + name, "BUILD=old", "CALLS_AT=" + calls}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		m.t.Fatalf("%s ended before it served: %v", name, err)
	}
	m.pids[name] = cmd.Process.Pid
	return strings.TrimSpace(address)
}

// startNginx starts somebody's nginx. In the shell nginx is that one.
func (m *machine) startNginx(dir, bin, site string) {
	m.t.Helper()
	real, err := exec.LookPath("nginx")
	if err != nil {
		m.t.Fatal(err)
	}
	var user string
	if os.Geteuid() == 0 {
		user = "user root;" // another could not read the test's folders
	}
	writeFile(m.t, filepath.Join(dir, "nginx.conf"), 0o644, user+`
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	include conf.d/*.conf;
}
`)
	writeFile(m.t, filepath.Join(dir, "conf.d", "shop.conf"), 0o644, m.here.Replace(site))
	writeFile(m.t, filepath.Join(bin, "nginx"), 0o755,
		fmt.Sprintf("#!/bin/sh\nexec %s -p %s -e error.log -c nginx.conf \"$@\"\n", real, dir))
	cmd := exec.Command(filepath.Join(bin, "nginx"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	m.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if m.t.Failed() {
			log, err := os.ReadFile(filepath.Join(dir, "error.log"))
			m.t.Logf("nginx: %s %v", log, err)
		}
	})
	for {
		select {
		case <-ended:
			m.t.Fatal("nginx ended at once")
		case <-time.After(20 * time.Millisecond): // it does not tell when it listens
		}
		if c, err := net.Dial("tcp", m.nginx); err == nil {
			c.Close()
			return
		}
	}
}

// pid is the process that a service was when all began.
func (m *machine) pid(name string) string { return strconv.Itoa(m.pids[name]) }

var previewCookie = regexp.MustCompile(`(?m)^cookie\tpreview\t(\S+)$`)

// cookie is the preview's.
func (m *machine) cookie() string {
	m.t.Helper()
	cmd := exec.Command(m.program, "status")
	cmd.Env = append(slices.Clone(m.env), "ABT2_DATA="+m.data)
	out, err := cmd.Output()
	c := previewCookie.FindSubmatch(out)
	if err != nil || c == nil {
		m.t.Fatalf("abt2 status: %v\n%s", err, out)
	}
	return string(c[1])
}

// page is what a user without a cookie gets.
func (m *machine) page(path string) string { return m.ask(path, "") }

func (m *machine) ask(path, cookie string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, "http://"+m.nginx+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Host = "shop.example"
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	body, err := get(http.DefaultClient, req)
	if err != nil {
		m.t.Fatal(err)
	}
	return body
}

// shows checks what a user gets.
func (m *machine) shows(path, cookie, pattern string) {
	m.t.Helper()
	if got := m.ask(path, cookie); !regexp.MustCompile(pattern).MatchString(got) {
		m.t.Errorf("%s with cookie %q: %q, want %s", path, cookie, got, pattern)
	}
}

// becomes waits for what users get: nginx reloads in its own time.
func (m *machine) becomes(path, pattern string) {
	m.t.Helper()
	want := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); ; {
		got := m.page(path)
		if want.MatchString(got) {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: %q, want %s", path, got, pattern)
		}
	}
}

// shell is one shell that executes the document from its beginning to its end,
// so that a variable lives on from step to step.
type shell struct {
	t     testing.TB
	stdin io.Writer
	done  chan struct{} // a message for each step that has succeeded
	ended chan struct{} // closed when the shell has ended
	dir   string        // where it works; its output is in the file said
}

func startShell(t testing.TB, dir string, env []string) *shell {
	t.Helper()
	s := &shell{t: t, done: make(chan struct{}), ended: make(chan struct{}), dir: dir}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	mine, its, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer its.Close()
	cmd := exec.Command("bash", "-eu", "-o", "pipefail")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, env, said, said, []*os.File{its}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin = stdin
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for lines := bufio.NewScanner(mine); lines.Scan(); {
			select {
			case s.done <- struct{}{}:
			case <-s.ended:
			}
		}
	}()
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.ended
		mine.Close()
		<-heard
	})
	return s
}

// run executes commands; the first that fails fails the test.
func (s *shell) run(commands string) {
	s.t.Helper()
	// Closed for the commands, so that the server does not inherit the shell's word.
	_, err := fmt.Fprintf(s.stdin, "{\n%s} 3>&- </dev/null\necho done >&3\n", commands)
	if err == nil {
		select {
		case <-s.done:
			return
		case <-s.ended:
		case <-time.After(stepPatience):
		}
	}
	said, _ := os.ReadFile(filepath.Join(s.dir, "said"))
	log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	s.t.Fatalf("the document's commands failed or hang:\n%s\nThe shell has said so far:\n%s\nThe server has said:\n%s", commands, said, log)
}

// stepPatience bounds a step of the document; it is only reached when something
// is wrong.
const stepPatience = 3 * time.Minute

// users ask for pages at a constant rate, whatever becomes of the answers.
type users struct {
	client *http.Client
	stop   context.CancelFunc
	gone   chan struct{}
	begun  time.Time
	took   time.Duration // set when they leave

	mu         sync.Mutex
	asked      int
	failed     int
	resent     int            // found a kept connection closed; the client sent the GET again, as browsers do
	late       int            // due while all places were taken
	by         map[string]int // how many were answered by each build behind nginx
	complaints []string
}

func newUsers(nginx string) *users {
	to := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, nginx)
	}
	return &users{
		client: &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: to, MaxIdleConnsPerHost: usersAtOnce}},
		by:     map[string]int{},
	}
}

// usersAtOnce bounds the requests under way; nginx has more connections.
const usersAtOnce = 256

// come begins to ask, so often a second, until leave.
func (u *users) come(rate int) {
	ctx, stop := context.WithCancel(context.Background())
	u.stop, u.gone, u.begun = stop, make(chan struct{}), time.Now()
	go func() {
		defer close(u.gone)
		places := make(chan struct{}, usersAtOnce)
		var asking sync.WaitGroup
		defer asking.Wait()
		for slot := 0; ; slot++ {
			due := time.NewTimer(time.Until(u.begun.Add(time.Duration(slot) * time.Second / time.Duration(rate))))
			select {
			case <-due.C:
			case <-ctx.Done():
				due.Stop()
				return
			}
			select {
			case places <- struct{}{}:
			default:
				u.count(func() { u.late++ })
				places <- struct{}{} // sent late, and never left out
			}
			path := []string{"/", "/api"}[slot%2]
			asking.Go(func() {
				defer func() { <-places }()
				u.ask(path)
			})
		}
	}()
}

// leave returns when all answers are there. It may be called again.
func (u *users) leave() {
	u.stop()
	<-u.gone
	if u.took == 0 {
		u.took = time.Since(u.begun)
	}
	u.client.CloseIdleConnections()
}

// answers are whole when every service that should have been asked has answered.
var answers = map[string]*regexp.Regexp{
	"/":    regexp.MustCompile(`^(web:(?:old|new)):\d+:\d* order:(?:old|new):\d+:\d* stock:old:\d+:\d*$`),
	"/api": regexp.MustCompile(`^(api:old):\d+:\d* stock:old:\d+:\d*$`),
}

func (u *users) ask(path string) {
	connections := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { u.count(func() { connections++ }) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodGet, "http://shop.example"+path, nil)
	var body string
	if err == nil {
		body, err = get(u.client, req)
	}
	answer := answers[path].FindStringSubmatch(body)
	u.count(func() {
		u.asked++
		if connections > 1 {
			u.resent++
		}
		if err == nil && answer != nil {
			u.by[answer[1]]++
			return
		}
		u.failed++
		if len(u.complaints) < 5 {
			u.complaints = append(u.complaints, fmt.Sprintf("%s: %v %q", path, err, body))
		}
	})
}

func (u *users) count(change func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change()
}

func (u *users) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return fmt.Sprintf("%d requests, %d failed, %d sent again on another connection, %d late, by %v", u.asked, u.failed, u.resent, u.late, u.by)
}

// get returns the body of an answer 200.
func get(client *http.Client, req *http.Request) (string, error) {
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return string(body), err
}
