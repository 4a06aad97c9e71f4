package cli_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
)

// tmp makes a folder with these files: a name ending in * is executable, one
// with -> is a link, one ending in / a folder.
func tmp(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		mode := os.FileMode(0o640)
		if strings.HasSuffix(name, "*") {
			name, mode = strings.TrimSuffix(name, "*"), 0o750
		}
		link, target, isLink := strings.Cut(name, "->")
		path := filepath.Join(dir, link)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			if err = os.WriteFile(path, []byte(content), mode); err == nil {
				err = os.Chmod(path, mode)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestPut(t *testing.T) {
	dir := tmp(t, map[string]string{"web.tar.gz": "build of web", "order*": "build of order", "order.yaml": "kind: service\n"})
	web, order := sum([]byte("build of web")), sum([]byte("build of order"))
	release := file(t, "release.yaml", "web: "+dir+"/web.tar.gz\norder: {path: "+dir+"/order, file: "+dir+"/order.yaml, init: true}\n")
	changed := []abt2.PutAnswer{{Version: version("web@7"), From: version("web@6"), Digest: web, Changes: []abt2.FieldChange{
		{Field: "health", From: "/a", To: "/b"}, {Field: "args", To: `["-v"]`},
	}}}
	for _, tc := range []struct {
		name string
		args string
		svc  fake
	}{
		{"put", "config put --op=lihua --name=web --path=DIR/web.tar.gz", fake{answers: changed}},
		{"put_new", "config put --name=order --path=DIR/order --init=true --file=DIR/order.yaml --takeover", fake{answers: []abt2.PutAnswer{{Version: version("order@1"), Digest: order}}}},
		{"put_there_already", "config put --name=web --path=DIR/web.tar.gz", fake{has: map[string]bool{web: true}, answers: changed}},
		{"put_same", "config put --name=web --path=DIR/web.tar.gz", fake{answers: []abt2.PutAnswer{{Version: version("web@6"), From: version("web@6"), Same: true}}}},
		{"put_dry_run", "config put --name=web --path=DIR/web.tar.gz --dry-run", fake{answers: changed}},
		{"put_json", "config put --name=web --path=DIR/web.tar.gz --json", fake{answers: append(changed, abt2.PutAnswer{Version: version("order@1"), Same: true})}},
		{"put_flags", "config put --name=web --kind=edge --prefix=/ --command=./web --command=serve --arg=-v --env=A=1 --env=B=x=y --env-file=/etc/secrets --health=/healthz " +
			"--ready-timeout=90s --instances=2 --fallback=online --stop-grace=0s --preview=hold --compat=default", fake{answers: changed}},
		{"put_from", "config put --from=FROM", fake{answers: []abt2.PutAnswer{changed[0], {Version: version("order@1"), Digest: order}}}},
		{"put_from_init", "config put --from=FROM --init=true", fake{answers: changed}},
		{"put_refused", "config put --name=web --path=DIR/web.tar.gz", fake{errs: map[string]error{"Put": abt2.Errorf(abt2.CodeOwner, "session 12 belongs to lihua")}}},
		{"put_upload_refused", "config put --name=web --path=DIR/web.tar.gz", fake{errs: map[string]error{"Upload": abt2.Errorf(abt2.CodeFailed, "the disk is full")}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, mode := range []string{"terminal", "pipe"} {
				svc := tc.svc
				w := world{args: strings.NewReplacer("DIR", dir, "FROM", release).Replace(tc.args), terminal: mode == "terminal", svc: &svc}
				res := run(t, w)
				golden(t, tc.name+"."+mode, strings.NewReplacer(dir, "DIR", release, "FROM").Replace(transcript(w, res)))
			}
		})
	}
}

// Bytes arrive as they are; digest and size were told before.
func TestPutUploads(t *testing.T) {
	content := strings.Repeat("some build ", 100_000)
	dir := tmp(t, map[string]string{"app*": content})
	svc := &fake{answers: []abt2.PutAnswer{{Version: version("app@1")}}}
	res := run(t, world{args: "config put --name=app --path=" + dir + "/app", svc: svc, terminal: true})
	if res.status != 0 || len(svc.uploads) != 1 || string(svc.uploads[0]) != content {
		t.Fatalf("status %d, %d uploads: %s", res.status, len(svc.uploads), res.stderr)
	}
	if !strings.Contains(res.stderr, "100 % of 1.1 MB") || !strings.Contains(svc.calls.String(), sum([]byte(content))) {
		t.Errorf("stderr %q\ncalls %s", res.stderr, svc.calls.String())
	}
}

// An empty flag empties the field; one that is left out says nothing.
func TestPutEmptiesFields(t *testing.T) {
	svc := &fake{answers: []abt2.PutAnswer{{Version: version("web@2")}}}
	run(t, world{args: "config put --name=web --command= --arg= --env= --env-file= --health=", svc: svc})
	none := ""
	want := []abt2.PutModule{{Module: "web", Flags: abt2.ConfigPatch{Command: []string{}, Args: []string{}, Env: map[string]string{}, EnvFile: &none, Health: &none}}}
	if d := cmp.Diff(want, svc.puts[0].Modules); d != "" {
		t.Error(d)
	}
}

func TestPutOfWhatIsNoBuild(t *testing.T) {
	dir := tmp(t, map[string]string{
		"script": "#!/bin/sh\n", "empty*": "", "void/": "", "hollow/deep/": "", "good*": "x", "empty.yaml": " \n", "big.yaml": strings.Repeat("#", 1<<20+1),
		"absolute/x": "x", "absolute/link->/etc/passwd": "",
		"climbing/x": "x", "climbing/link->../good": "",
		"sly/sub/up->..": "", "sly/link->sub/up/../good": "",
		"twice.yaml": "web: x\nweb: y\n", "list.yaml": "- web\n", "field.yaml": "web: {path: x, pfad: y}\n", "name.yaml": "Web: x\n",
		"none.yaml": "web:\n", "nothing.yaml": "", "bad.yaml": "web: [\n", "type.yaml": "web: {path: x, init: maybe}\n", "missing.yaml": "web: gone\n",
	})
	if err := os.Remove(filepath.Join(dir, "good")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, says string }{
		{"--name=web --path=DIR/none", `--path "DIR/none": cannot be read`},
		{"--name=web --path=DIR/script", "chmod +x DIR/script"},
		{"--name=web --path=DIR/empty", `"DIR/empty": is empty`},
		{"--name=web --path=DIR/void", "is an empty folder"},
		{"--name=web --path=DIR/hollow", "is an empty folder"},
		{"--name=web --path=/dev/null", "is neither a file nor a folder"},
		{"--name=web --path=DIR/absolute", "the link link leads out of the folder, to /etc/passwd"},
		{"--name=web --path=DIR/climbing", "the link link leads out of the folder, to ../good"},
		{"--name=web --path=DIR/sly", "the link link leads out of the folder, to sub/up/../good"},
		{"--name=web --file=DIR/none", `--file "DIR/none": cannot be read`},
		{"--name=web --file=DIR/empty.yaml", "is empty"},
		{"--name=web --file=DIR/big.yaml", "at most 1048576"},
		{"--from=DIR/none", `--from "DIR/none": cannot be read`},
		{"--from=DIR/nothing.yaml", "must be lines of MODULE: PATH"},
		{"--from=DIR/list.yaml", "line 1: must be lines of MODULE: PATH"},
		{"--from=DIR/bad.yaml", "is not YAML"},
		{"--from=DIR/twice.yaml", "line 2: module web: stands twice"},
		{"--from=DIR/name.yaml", `line 1: module name "Web"`},
		{"--from=DIR/field.yaml", "web: pfad: is not a field"},
		{"--from=DIR/none.yaml", "web: must be lines of"},
		{"--from=DIR/type.yaml", "web: init:"},
		{"--from=DIR/missing.yaml", `--path "DIR/gone"`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			svc := &fake{}
			in := strings.NewReplacer("DIR", dir)
			res := run(t, world{args: "config put " + in.Replace(tc.args), svc: svc})
			if res.status != 2 || !strings.Contains(res.stderr, in.Replace(tc.says)) {
				t.Errorf("status %d: %s", res.status, res.stderr)
			}
			if calls := svc.calls.String(); calls != "" {
				t.Errorf("the service was called: %s", calls)
			}
		})
	}
}

// A folder's archive depends on its content alone.
func TestFolderIsDeterministic(t *testing.T) {
	files := map[string]string{"b/run*": "#!/bin/sh\n", "a.txt": "a", "b/c/": "", "b.txt": "b", "link->b/run": "", "dangling->nowhere": ""}
	upload := func(dir string) []byte {
		svc := &fake{answers: []abt2.PutAnswer{{Version: version("app@1")}}}
		res := run(t, world{args: "config put --name=app --path=" + dir, svc: svc})
		if res.status != 0 || len(svc.uploads) != 1 {
			t.Fatalf("status %d: %s", res.status, res.stderr)
		}
		if !strings.Contains(svc.calls.String(), sum(svc.uploads[0])) {
			t.Fatalf("announced another digest than was sent: %s", svc.calls.String())
		}
		return svc.uploads[0]
	}
	one := tmp(t, files)
	two := tmp(t, files)
	for _, name := range []string{"a.txt", "b/c", "b"} {
		if err := os.Chtimes(filepath.Join(two, name), time.Unix(1, 0), time.Unix(2, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(two, "a.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := upload(one)
	if b := upload(two); !bytes.Equal(a, b) {
		t.Error("dates or permissions change the archive")
	}
	type entry struct {
		Name, Link, Content string
		Type                byte
		Mode                int64
	}
	var got []entry
	r := tar.NewReader(bytes.NewReader(a))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d:%d %q, time %s", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		got = append(got, entry{h.Name, h.Linkname, string(content), h.Typeflag, h.Mode})
	}
	want := []entry{
		{"a.txt", "", "a", tar.TypeReg, 0o644},
		{"b/", "", "", tar.TypeDir, 0o755},
		{"b/c/", "", "", tar.TypeDir, 0o755},
		{"b/run", "", "#!/bin/sh\n", tar.TypeReg, 0o755},
		{"b.txt", "", "b", tar.TypeReg, 0o644},
		{"dangling", "nowhere", "", tar.TypeSymlink, 0o644},
		{"link", "b/run", "", tar.TypeSymlink, 0o644},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFormats(t *testing.T) {
	names := map[string]abt2.ArtifactFormat{
		"app.jar": abt2.FormatJar, "app.WAR": abt2.FormatJar, "app.tar.gz": abt2.FormatTarGz, "app.tgz": abt2.FormatTarGz, "app.zip": abt2.FormatZip, "app*": abt2.FormatExecutable, "app.d/x": abt2.FormatTar,
	}
	for name, want := range names {
		dir := tmp(t, map[string]string{name: "x"})
		name = strings.TrimSuffix(strings.TrimSuffix(name, "*"), "/x")
		svc := &fake{answers: []abt2.PutAnswer{{Version: version("app@1")}}}
		res := run(t, world{args: "config put --name=app --path=" + filepath.Join(dir, name), svc: svc})
		if res.status != 0 || !strings.Contains(svc.calls.String(), `"format":"`+string(want)+`","name":"`+name+`"`) {
			t.Errorf("%s: status %d, %s%s", name, res.status, res.stderr, svc.calls.String())
		}
	}
}
