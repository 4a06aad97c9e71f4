package doctor

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// subject is a folder as a server leaves it.
func subject(t *testing.T) Subject {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "operator.token")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Subject{
		Folder: dir, MaxPath: 1000, Secrets: []string{secret, filepath.Join(dir, "absent")}, Program: "v0.1.0", Now: time.Now(),
		Ports: []Port{{Name: "listen", Address: "127.0.0.1:0"}},
	}
}

func TestExamine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tc := range map[string]struct {
		change func(s *Subject)
		check  string
		result Result
		detail string
		remedy string
	}{
		"folder":             {func(*Subject) {}, "folder", OK, "for its owner alone", ""},
		"no folder":          {func(s *Subject) { s.Folder += "/not/yet" }, "folder", OK, "does not exist", ""},
		"a file":             {func(s *Subject) { s.Folder = s.Secrets[0] }, "folder", Fail, "is not a folder", "--data"},
		"long path":          {func(s *Subject) { s.MaxPath = 10 }, "folder", Fail, "at most 10", "--data"},
		"open folder":        {func(s *Subject) { _ = os.Chmod(s.Folder, 0o755) }, "folder", Warn, "-rwxr-xr-x", "chmod 700"},
		"newer folder":       {func(s *Subject) { s.Format = errors.New("format 9") }, "format", Fail, "format 9", "as it says"},
		"writable":           {func(*Subject) {}, "writable", OK, "locked", ""},
		"credentials":        {func(*Subject) {}, "credentials", OK, "1, for", ""},
		"open credential":    {func(s *Subject) { _ = os.Chmod(s.Secrets[0], 0o644) }, "credentials", Fail, "open to others", "chmod 600"},
		"free port":          {func(*Subject) {}, "port listen", OK, "is free", ""},
		"taken port":         {func(s *Subject) { s.Ports[0].Address = taken.Addr().String() }, "port listen", Fail, "somebody else's", "--listen"},
		"our port":           {func(s *Subject) { s.Ports[0] = Port{"listen", taken.Addr().String(), true} }, "port listen", OK, "this installation's", ""},
		"not our address":    {func(s *Subject) { s.Ports[0].Address = "192.0.2.1:80" }, "port listen", Fail, "192.0.2.1", "--listen"},
		"clock behind files": {func(s *Subject) { s.Now = s.Now.Add(-time.Hour) }, "clock", Warn, "newer", "chrony"},
		"clock never set":    {func(s *Subject) { s.Folder, s.Now = "/nowhere", time.Unix(0, 0) }, "clock", Warn, "1970", "chrony"},
		"same version":       {func(s *Subject) { s.Parts = []Part{{"the server", "v0.1.0"}} }, "versions", OK, "runs", ""},
		"another version":    {func(s *Subject) { s.Parts = []Part{{"edge-1", "v0.0.9"}} }, "versions", Warn, "v0.0.9; this program is v0.1.0", "start it again"},
		"no version":         {func(s *Subject) { s.Parts = []Part{{"the server", ""}} }, "versions", Warn, "does not tell", "start it again"},
	} {
		t.Run(name, func(t *testing.T) {
			s := subject(t)
			tc.change(&s)
			all := Examine(t.Context(), s)
			for _, f := range all {
				if (f.Result == OK) != (f.Remedy == "") || f.Detail == "" {
					t.Errorf("%+v: what is not right needs a remedy, and only that", f)
				}
				if f.Check == tc.check && f.Result == tc.result && strings.Contains(f.Detail, tc.detail) && strings.Contains(f.Remedy, tc.remedy) {
					return
				}
			}
			t.Errorf("%+v", all)
		})
	}
}

// The folder is as before, but for its times.
func TestNothingIsLeft(t *testing.T) {
	s := subject(t)
	Examine(t.Context(), s)
	entries, err := os.ReadDir(s.Folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

// Every check has a say on a healthy machine.
func TestAllChecks(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Examine(t.Context(), subject(t)) {
		seen[f.Check] = true
	}
	for _, name := range []string{"folder", "format", "writable", "disk", "filesystem", "credentials", "port listen", "port ranges", "open files", "clock", "versions", "kernel"} {
		if !seen[name] {
			t.Errorf("%s was not looked at", name)
		}
	}
}
