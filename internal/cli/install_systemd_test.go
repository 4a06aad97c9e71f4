package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstallSystemd(t *testing.T) {
	dir := t.TempDir()
	install := func(more string) result {
		t.Helper()
		return run(t, world{args: "install-systemd --prefix=" + dir + " " + more})
	}
	service, socket := filepath.Join(dir, "abt2.service"), filepath.Join(dir, "abt2-edge.socket")
	edit := func(path, old, by string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(strings.Replace(string(b), old, by, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	res := install("")
	if res.status != 0 || strings.Count(res.stdout, "wrote "+dir) != 3 || !strings.Contains(res.stdout, "next: systemctl enable --now abt2-edge.socket abt2-edge.service abt2.service\n") {
		t.Errorf("first: status %d\n%s%s", res.status, res.stdout, res.stderr)
	}
	if res := install(""); res.status != 0 || strings.Count(res.stdout, "same "+dir) != 3 {
		t.Errorf("again: status %d\n%s%s", res.status, res.stdout, res.stderr)
	}
	if res := install("--edge-listen=:80"); res.status != 0 || !strings.Contains(res.stdout, "wrote "+socket) || !strings.Contains(res.stdout, "same "+service) {
		t.Errorf("elsewhere: status %d\n%s%s", res.status, res.stdout, res.stderr)
	}
	if b, err := os.ReadFile(socket); err != nil || !strings.Contains(string(b), "\nListenStream=80\n") {
		t.Errorf("the socket: %s, %v", b, err)
	}

	edit(service, "RestartSec=1", "RestartSec=9")
	if res := install("--user=shop"); res.status != 4 || res.stdout != "" || !strings.Contains(res.stderr, service) || !strings.Contains(res.stderr, "--force") {
		t.Errorf("over an edited file: status %d\n%s%s", res.status, res.stdout, res.stderr)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "abt2-edge.service")); err != nil || !strings.Contains(string(b), "User=abt2\n") {
		t.Errorf("what was refused has been done in part: %s, %v", b, err)
	}
	if res := install("--user=shop --force"); res.status != 0 || strings.Count(res.stdout, "wrote ") != 3 {
		t.Errorf("forced: status %d\n%s%s", res.status, res.stdout, res.stderr)
	}
	if b, err := os.ReadFile(service); err != nil || strings.Contains(string(b), "RestartSec=9") || !strings.Contains(string(b), "User=shop\n") {
		t.Errorf("after --force: %s, %v", b, err)
	}
}

func TestInstallSystemdRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"--user=root --dry-run":                  `--user "root"`,
		"--user= --dry-run":                      `--user ""`,
		"--user=a%b --dry-run":                   `--user "a%b"`,
		"'--data=/srv/my data' --dry-run":        `--data "/srv/my data"`,
		"--data=/srv/100% --dry-run":             `--data "/srv/100%"`,
		"--edge-listen=80 --dry-run":             `--edge-listen "80"`,
		"--edge-listen=localhost:80 --dry-run":   `--edge-listen "localhost:80"`,
		"--edge-listen=0.0.0.0:0 --dry-run":      `--edge-listen "0.0.0.0:0"`,
		"--edge-listen=0.0.0.0:http --dry-run":   `--edge-listen "0.0.0.0:http"`,
		"--edge-listen=[fe80::1%e]:80 --dry-run": `--edge-listen "[fe80::1%e]:80"`,
		"--prefix=/nowhere/at/all":               `--prefix "/nowhere/at/all"`,
	} {
		if res := run(t, world{args: "install-systemd " + args}); res.status != 2 || res.stdout != "" || !strings.Contains(res.stderr, says) {
			t.Errorf("%s: status %d\n%s%s", args, res.status, res.stdout, res.stderr)
		}
	}
}

// TestUnitsAreValid asks systemd itself, where there is one.
func TestUnitsAreValid(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze on this machine")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"0.0.0.0:80", "[::1]:8080", ":443"} {
		dir := t.TempDir()
		if res := run(t, world{args: "install-systemd --prefix=" + dir + " --edge-listen=" + listen, program: program}); res.status != 0 {
			t.Fatal(res.stderr)
		}
		verify := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=one", "abt2.service", "abt2-edge.service", "abt2-edge.socket")
		verify.Dir = dir
		verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
			t.Errorf("%s: %v\n%s", listen, err, out)
		}
	}
}
