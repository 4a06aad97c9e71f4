package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"abt2.dev"
)

// A backup's file is whole and for its owner alone, or as it was before.
func TestBackupFile(t *testing.T) {
	for _, tc := range []struct {
		name    string
		before  string // what the file held; empty: there was none
		partial bool   // an interrupted backup has left its beginning
		err     error
		want    string
		status  int
	}{
		{"new", "", false, nil, "new", 0},
		{"another time", "old", false, nil, "new", 0},
		{"after one that was cut off", "old", true, nil, "new", 0},
		{"failed", "old", false, abt2.Errorf(abt2.CodeUnavailable, "the server went away"), "old", 7},
		{"failed, the first", "", true, abt2.Errorf(abt2.CodeUnavailable, "the server went away"), "", 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "abt2.backup")
			if tc.before != "" {
				if err := os.WriteFile(path, []byte(tc.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tc.partial {
				if err := os.WriteFile(path+".partial", []byte("more than what comes now"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			res := run(t, world{args: "backup " + path, svc: &fake{backup: "new", errs: map[string]error{"Backup": tc.err}}})
			if res.status != tc.status {
				t.Errorf("status %d, want %d\n%s", res.status, tc.status, res.stderr)
			}
			got, err := os.ReadFile(path)
			if string(got) != tc.want {
				t.Errorf("the file holds %q, %v; want %q", got, err, tc.want)
			}
			if info, err := os.Stat(path); tc.want == "new" && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if _, err := os.Lstat(path + ".partial"); err == nil {
				t.Error("its beginning is left")
			}
		})
	}
}
