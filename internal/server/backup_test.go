package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/server"
)

func (in *installation) backup() []byte {
	in.t.Helper()
	var b bytes.Buffer
	if err := in.api.Backup(in.t.Context(), &b); err != nil {
		in.t.Fatal(err)
	}
	return b.Bytes()
}

func restoreTo(ctx context.Context, dir string, b []byte, force bool) (server.Restored, error) {
	return server.Restore(ctx, server.RestoreConfig{
		From: bytes.NewReader(b), Name: "shop.backup", DataDir: dir, Force: force, Operator: "ann", Version: "v0.1.0", Log: slog.New(slog.DiscardHandler),
	})
}

func (in *installation) epoch() string {
	in.t.Helper()
	s, err := in.api.Status(in.t.Context(), abt2.DefaultProduct)
	if err != nil {
		in.t.Fatal(err)
	}
	epoch := ""
	for _, r := range s.Routers {
		if r.Connected && (epoch == "" || r.Applied.Epoch == epoch) {
			epoch = r.Applied.Epoch
		} else {
			in.t.Fatalf("routers are not connected, or at several epochs: %+v", s.Routers)
		}
	}
	return epoch
}

// A restore in place, with a new epoch, while edge and processes are connected
// and users are served: they discard their table, rejoin, and no request fails.
func TestRestoreInPlaceUnderLoad(t *testing.T) {
	in := install(t)
	in.release()
	b := in.backup()
	old := in.epoch()

	load := in.underLoad()
	if _, err := restoreTo(t.Context(), in.dir, b, true); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "another abt2 server") {
		t.Errorf("restore under a running server: %v; want refused", err)
	}
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := restoreTo(t.Context(), in.dir, b, false); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "--force") {
		t.Errorf("restore without --force: %v; want refused", err)
	}
	done, err := restoreTo(t.Context(), in.dir, b, true)
	if err != nil {
		t.Fatal(err)
	}
	if !done.Kept || done.Aside == "" || done.Modules != 2 || done.Artifacts != 2 {
		t.Errorf("restored %+v", done)
	}
	t.Cleanup(func() { _ = os.RemoveAll(done.Aside) })
	in.start()
	in.noDifference()
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	if now := in.epoch(); now == old || now != done.Epoch {
		t.Errorf("epoch was %s, is %s, restored %s", old, now, done.Epoch)
	}
	in.create() // the restored state can be worked on
	in.put("order", "", 2, "", false)
	in.verb(abt2.VerbShip)
	in.verb(abt2.VerbCommit)
	if got := in.page(""); got != "[{web@1 3} {order@2 3}]" {
		t.Errorf("users see %s", got)
	}
}

// Going back to a release that has been taken down: users stay on what they see
// until it stands again, and no number is given twice.
func TestRestoreOfWhatNoLongerRuns(t *testing.T) {
	in := install(t)
	in.release()
	b := in.backup()
	in.create()
	in.put("web", "order", 2, "", false)
	in.put("order", "", 2, "", false)
	in.put("cart", "", 1, "kind: service\nhealth: /healthz\nready_timeout: 10s\n", true)
	in.verb(abt2.VerbShip)
	in.verb(abt2.VerbCommit)
	in.verb(abt2.VerbClean)

	load := in.underLoad()
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	done, err := restoreTo(t.Context(), in.dir, b, true)
	if err != nil || !done.Kept {
		t.Fatalf("restored %+v, %v", done, err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(done.Aside) })
	in.start()
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	if got := in.page(""); got != "[{web@1 2} {order@1 2}]" {
		t.Errorf("users see %s", got)
	}
	in.verb(abt2.VerbRefresh) // returns when what was online before has ended
	in.noDifference()
	in.create()
	in.put("order", "", 3, "", false)
	in.put("cart", "", 2, "kind: service\nhealth: /healthz\nready_timeout: 10s\n", true)
	in.verb(abt2.VerbShip)
	in.verb(abt2.VerbCommit)
	if got := in.page(""); got != "[{web@1 4} {order@3 4}]" {
		t.Errorf("users see %s; order@2 and environment 3 had been given before", got)
	}
	s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || s.Online.Modules["cart"] != (abt2.VersionID{Module: "cart", Number: 2}) {
		t.Errorf("online is %+v, %v; cart@1 had been given before", s.Online, err)
	}
}

// On another machine the backup begins a new installation.
func TestRestoreElsewhere(t *testing.T) {
	in := install(t)
	in.release()
	b := in.backup()
	if bytes.Contains(b, []byte(strings.TrimSpace(read(t, filepath.Join(in.dir, "operator.token"))))) ||
		bytes.Contains(b, []byte(strings.TrimSpace(read(t, filepath.Join(in.dir, "credentials.key"))))) {
		t.Error("the backup holds credentials")
	}
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Down(t.Context(), in.dir, false, slog.New(slog.DiscardHandler)); err != nil { // unversioned names are the same
		t.Fatal(err)
	}
	other := prepare(t)
	done, err := restoreTo(t.Context(), other.dir, b, false)
	if err != nil || done.Kept || done.Aside != "" {
		t.Fatalf("restored %+v, %v", done, err)
	}
	other.start()
	other.verb(abt2.VerbRefresh) // waits until it stands
	if d, err := other.api.Validate(t.Context(), abt2.ValidateRequest{Product: abt2.DefaultProduct, Platform: true, Edge: true}); err != nil || len(d) > 0 {
		t.Errorf("validate: %v, %v", d, err)
	}
	events, err := other.api.History(t.Context(), abt2.DefaultProduct, 1)
	if err != nil || len(events) != 1 || events[0].Verb != "restore" || events[0].Operator != "ann" {
		t.Errorf("history ends with %+v, %v", events, err)
	}
	// What runs there is not the first installation's, whose backup would mistake it.
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := restoreTo(t.Context(), other.dir, b, true); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "abt2 down --data="+other.dir) {
		t.Errorf("restore over another installation that runs: %v; want refused", err)
	}
	if _, err := server.Down(t.Context(), other.dir, false, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	done, err = restoreTo(t.Context(), other.dir, b, true)
	if err != nil || done.Kept || done.Aside == "" {
		t.Fatalf("restored %+v, %v", done, err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(done.Aside) })
	if _, err := os.Stat(filepath.Join(done.Aside, "etcd", "member")); err != nil {
		t.Errorf("the state from before is gone: %v", err)
	}
}

// Whatever is wrong with a backup, the folder stays as it was.
func TestBadBackupChangesNothing(t *testing.T) {
	in := install(t)
	in.release()
	b := in.backup()
	if err := in.stop(); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(in.dir, "..", filepath.Base(in.dir)+"-absent")
	for name, bad := range map[string][]byte{
		"nothing":          nil,
		"a text":           []byte(strings.Repeat("once upon a time ", 1000)),
		"cut in manifest":  b[:700],
		"cut in state":     b[:4000],
		"cut in artifact":  b[:bytes.Index(b, []byte("#!/bin/sh"))+5],
		"no end":           b[:len(b)-1024-512],
		"half the end":     b[:len(b)-600],
		"something behind": append(bytes.Clone(b), 'x'),
		"flip in state":    bytes.Replace(b, []byte(`"default"`), []byte(`"defauIt"`), 5),
		"flip in artifact": bytes.Replace(b, []byte("# build 1"), []byte("# build 7"), 1),
		"newer":            bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 9`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			before := listing(t, in.dir)
			_, err := restoreTo(t.Context(), in.dir, bad, true)
			if code := abt2.CodeOf(err); (code != abt2.CodeInvalid && code != abt2.CodeRefused) || !strings.Contains(err.Error(), "backup shop.backup: ") || !strings.Contains(err.Error(), "nothing was restored") {
				t.Errorf("got %v (%s)", err, code)
			}
			if after := listing(t, in.dir); after != before {
				t.Errorf("the folder was\n%s\nis\n%s", before, after)
			}
			if _, err := restoreTo(t.Context(), absent, bad, false); err == nil {
				t.Error("it is restored to a folder that does not exist")
			}
			if _, err := os.Lstat(absent); err == nil {
				t.Error("a folder is left")
			}
		})
	}
}

// listing names every file below dir, with size and mode; what opening a
// database writes is left out.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.Contains(path, "/etcd/member/") || strings.HasSuffix(path, ".log") {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			fmt.Fprintln(&b, path, info.Size(), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A server does not work on a folder that a newer one has made, nor on one that
// a restore has left half done.
func TestFolderThatIsNotForThisServer(t *testing.T) {
	for name, tc := range map[string]struct{ file, content, text string }{
		"newer":              {"format.json", `{"format": 2, "abt2": "v0.9.0", "installation": "x", "more": 1}`, "has format 2, made by abt2 v0.9.0; this is abt2 v0.1.0"},
		"damaged":            {"format.json", `{"form`, "format.json: cannot be read"},
		"half restored":      {"restore.unfinished", "moved to /x\n", "repeat it: abt2 restore FILE"},
		"a format of itself": {"format.json", `{}`, "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			in := prepare(t)
			path := filepath.Join(in.dir, tc.file)
			if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := server.Run(t.Context(), server.Config{
				Program: in.command, DataDir: in.dir, Listen: "127.0.0.1:0", EdgeListen: "127.0.0.1:0", AllowRoot: true, Version: "v0.1.0", Log: slog.New(slog.DiscardHandler),
			})
			if err == nil || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), in.dir) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Lstat(filepath.Join(in.dir, "etcd")); err == nil {
				t.Error("a database was opened all the same")
			}
		})
	}
}
