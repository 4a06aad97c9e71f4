package process

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

func TestNewRefuses(t *testing.T) {
	shim := []string{"abt2", "shim"}
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Shim: shim}, "data folder"},
		{Config{Dir: "/tmp/" + strings.Repeat("x", 90), Shim: shim}, "shorter one with --data"},
		{Config{Dir: t.TempDir()}, "shim"},
		{Config{Dir: t.TempDir(), Shim: shim, Host: "0.0.0.0"}, "one IP address"},
		{Config{Dir: t.TempDir(), Shim: shim, PortMin: 30, PortMax: 20}, "ports 30 to 20"},
	}
	for _, test := range tests {
		if _, err := New(test.cfg); abt2.CodeOf(err) != abt2.CodeInvalid || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New(%+v): %v, want CodeInvalid with %q", test.cfg, err, test.want)
		}
	}
	if _, err := os.Stat("/tmp/" + strings.Repeat("x", 90)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused folder was made")
	}
}

func TestOverlappingPortsAreSaid(t *testing.T) {
	lo, _, ok := ephemeralPorts()
	if !ok {
		t.Skip("this system does not say which ports it gives out")
	}
	m := newMachine(t)
	m.server()
	if strings.Contains(m.log.String(), "overlap") {
		t.Errorf("warned of ports %d to %d", m.cfg.PortMin, m.cfg.PortMax)
	}
	m.cfg.PortMin, m.cfg.PortMax = lo-10, lo
	m.server()
	if !strings.Contains(m.log.String(), "overlap") {
		t.Errorf("did not warn of ports %d to %d", lo-10, lo)
	}
}

func TestIDs(t *testing.T) {
	v := abt2.VersionID{Module: "order-2", Number: 3}
	if id := makeID(v, 17); id != "order-2-3-17" {
		t.Errorf("id %q", id)
	}
	if got, seq, ok := parseID("order-2-3-17"); got != v || seq != 17 || !ok {
		t.Errorf("parsed %v, %d, %v", got, seq, ok)
	}
	for _, id := range []abt2.InstanceID{"", "order", "order-3", "order-3-", "order-0-1", "order-3-x", "order-3-017", "Order-3-1"} {
		if v, seq, ok := parseID(id); ok {
			t.Errorf("%q parsed as %v, %d", id, v, seq)
		}
	}
}

func TestInstanceSeesWhatItShould(t *testing.T) {
	t.Setenv("ABT2_TOKEN_FILE", "/secret")
	t.Setenv("TZ", "UTC")
	m := newMachine(t)
	p := m.server()
	w := m.workload(order1, 1)
	secrets := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(secrets, []byte("PASSWORD=tiger-of-the-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Version.Config.EnvFile = secrets
	m.apply(p, w)
	i := m.healthy(p, 1)[0]
	dir := filepath.Join(m.dir, instancesDir, string(i.ID))
	_, port, _ := strings.Cut(i.Address, ":")
	want := []string{
		"ABT2_CREDENTIAL=credential of " + string(i.ID), "ABT2_INSTANCE=" + string(i.ID), "ABT2_MODULE=order",
		"ABT2_NAME_STOCK=127.0.0.1:7", "ABT2_PRODUCT=default", "ABT2_SERVER=127.0.0.1:7070",
		"ABT2_STATE=" + filepath.Join(dir, "state"), "ABT2_VERSION=order@1",
		"GORACE=atexit_sleep_ms=0", "HOST=127.0.0.1", "JPAAS_HOST=127.0.0.1", "JPAAS_HTTP_PORT=" + port, "PASSWORD=tiger-of-the-test", "PORT=" + port,
	}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			want = append(want, name+"="+v)
		}
	}
	got := strings.Split(m.get(i, "/env"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q, want\n%q", got, want)
	}
	if got := m.get(i, "/dir"); got != filepath.Join(dir, "work") {
		t.Errorf("working directory %q", got)
	}
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err == nil && d.Type()&fs.ModeSymlink == 0 && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, st.Mode())
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "tiger") {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPlan(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "app.jar")
	z, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(zip.NewWriter(z).Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "env"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one := []string{"one"}
	tests := []struct {
		name    string
		source  string
		format  abt2.ArtifactFormat
		cfg     abt2.Config
		argv    []string
		workDir string
		err     string
	}{
		{"executable", file, abt2.FormatExecutable, abt2.Config{Args: one}, []string{file, "one"}, "/i/work", ""},
		{"jar", file, abt2.FormatJar, abt2.Config{Args: one}, []string{"java", "-jar", file, "one"}, "/i/work", ""},
		{"jar with command", file, abt2.FormatJar, abt2.Config{Command: []string{"java", "-Xmx1g", "-jar", "app.jar"}, Args: one}, []string{"java", "-Xmx1g", "-jar", "app.jar", "one"}, "/i/work", ""},
		{"folder", folder, abt2.FormatTarGz, abt2.Config{Command: []string{"./api"}, Args: one, EnvFile: "env"}, []string{"./api", "one"}, folder, ""},
		{"folder without command", folder, abt2.FormatTar, abt2.Config{}, nil, "", "set command in its module.yaml"},
		{"absent artifact", folder + "/absent", abt2.FormatTar, abt2.Config{}, nil, "", "put it again"},
		{"absent env_file", folder, abt2.FormatTar, abt2.Config{Command: one, EnvFile: "absent"}, nil, "", folder + "/absent\": cannot be read; create it"},
		{"relative env_file", file, abt2.FormatExecutable, abt2.Config{EnvFile: "env"}, nil, "", "give an absolute path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := abt2.Workload{Source: test.source, Version: abt2.Version{ID: order1, Config: test.cfg, Artifact: abt2.Artifact{Format: test.format, Name: "app.jar"}}}
			l, err := plan(w, "/i")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || !slices.Equal(l.argv, test.argv) || l.workDir != test.workDir {
				t.Errorf("%+v, %v; want %q in %s", l, err, test.argv, test.workDir)
			}
		})
	}
}

func TestSingleFileIsFoundByName(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	w := m.workload(order1, 1)
	w.Version.Config.Command = []string{"./server"} // the artifact's name
	m.apply(p, w)
	m.healthy(p, 1)
}

func TestMissingEnvFileStartsNothing(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	w := m.workload(order1, 1)
	w.Version.Config.EnvFile = "/absent/secrets"
	if err := p.Apply(t.Context(), w); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), `env_file "/absent/secrets"`) {
		t.Errorf("Apply: %v", err)
	}
	if all := m.instances(p); len(all) != 0 {
		t.Errorf("instances %+v", all)
	}
}

func TestBadShimCommand(t *testing.T) {
	m := newMachine(t)
	good := m.cfg.Shim
	m.cfg.Shim = []string{"/bin/sh", "-c", "echo not a shim; exit 1"}
	p := m.server()
	err := p.Apply(t.Context(), m.workload(order1, 1))
	if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), `its shim ended at once, saying "not a shim"`) {
		t.Errorf("Apply: %v", err)
	}
	m.cfg.Shim = good
	p = m.server()
	m.apply(p, m.workload(order1, 1))
	m.healthy(p, 1)
}

func TestLogsAcrossRotation(t *testing.T) {
	m := newMachine(t)
	p := m.server()
	m.apply(p, m.sh(`for i in 1 2 3; do echo line $i; done; exec sleep 1000`))
	i := m.healthy(p, 1)[0]
	m.poll("the lines", func() bool {
		b, _ := os.ReadFile(shimpb.LogPath(filepath.Join(m.dir, instancesDir, string(i.ID)), 0))
		return strings.Contains(string(b), "line 3\n")
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- p.Logs(ctx, order1, 2, true, w)
		_ = w.Close()
	}()
	read := make(chan string, 100)
	go func() {
		defer close(read)
		b := make([]byte, 1<<16)
		for {
			n, err := r.Read(b)
			for l := range strings.Lines(string(b[:n])) {
				read <- l
			}
			if err != nil {
				return
			}
		}
	}()
	expect := func(want string) {
		t.Helper()
		if got := <-read; got != string(i.ID)+"\t"+want+"\n" {
			t.Fatalf("read %q, want %q", got, want)
		}
	}
	expect("line 2")
	expect("line 3")
	// Rotated as the shim does it, with a line broken in two.
	dir := filepath.Join(m.dir, instancesDir, string(i.ID))
	add := func(s string) {
		t.Helper()
		f, err := os.OpenFile(shimpb.LogPath(dir, 0), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(s); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	add("line 4\nbro")
	expect("line 4")
	if err := os.Rename(shimpb.LogPath(dir, 0), shimpb.LogPath(dir, 1)); err != nil {
		t.Fatal(err)
	}
	add("ken\nline 5\n")
	expect("broken")
	expect("line 5")
	if err := p.Remove(t.Context(), order1); err != nil { // the folder moves
		t.Fatal(err)
	}
	m.apply(p, m.sh(`echo a new one; exec sleep 1000`))
	if got := <-read; !strings.HasSuffix(got, "\ta new one\n") || strings.HasPrefix(got, string(i.ID)) {
		t.Errorf("read %q", got)
	}
	enough := errors.New("enough")
	cancel(enough)
	if err := <-done; !errors.Is(err, enough) {
		t.Errorf("Logs: %v", err)
	}
	for range read {
	}
}

func TestKeptLogs(t *testing.T) {
	m := newMachine(t)
	for seq := range uint64(keptLogs + 3) {
		if err := os.MkdirAll(filepath.Join(m.dir, endedDir, string(makeID(order1, seq+1)), shimpb.LogsDir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.server()
	left, err := os.ReadDir(filepath.Join(m.dir, endedDir))
	if err != nil || len(left) != keptLogs {
		t.Fatalf("%d kept, %v; want %d", len(left), err, keptLogs)
	}
	for _, e := range left {
		if _, seq, _ := parseID(abt2.InstanceID(e.Name())); seq <= 3 {
			t.Errorf("%s was kept", e.Name())
		}
	}
}
