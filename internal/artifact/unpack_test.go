package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/artifact"
)

// item is an entry of an archive that a test builds.
type item struct {
	name, content string
	mode          fs.FileMode
	kind          byte // as in tar
}

func file(name, content string, mode ...fs.FileMode) item {
	return item{name, content, append(mode, 0o644)[0], tar.TypeReg}
}
func folder(name string) item       { return item{name, "", 0o755, tar.TypeDir} }
func symlink(name, to string) item  { return item{name, to, 0o777, tar.TypeSymlink} }
func hardlink(name, to string) item { return item{name, to, 0o644, tar.TypeLink} }

func tarred(t testing.TB, items ...item) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: i.kind, Mode: int64(i.mode)}
		if i.kind == tar.TypeReg {
			h.Size = int64(len(i.content))
		} else {
			h.Linkname = i.content
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if i.kind == tar.TypeReg {
			if _, err := w.Write([]byte(i.content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zipped(t testing.TB, items ...item) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		switch i.kind {
		case tar.TypeSymlink:
			h.SetMode(fs.ModeSymlink | 0o777)
		case tar.TypeChar:
			h.SetMode(fs.ModeDevice | fs.ModeCharDevice)
		case tar.TypeDir:
			h.SetMode(fs.ModeDir | 0o755)
		default:
			h.SetMode(i.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if i.kind != tar.TypeDir {
			if _, err := f.Write([]byte(i.content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// formats builds the same archive in each format.
func formats(t testing.TB, items ...item) map[abt2.ArtifactFormat]string {
	out := map[abt2.ArtifactFormat]string{abt2.FormatTar: tarred(t, items...)}
	out[abt2.FormatTarGz] = gzipped(t, out[abt2.FormatTar])
	for _, i := range items {
		if i.kind == tar.TypeLink || i.kind == tar.TypeFifo {
			return out // zip has none
		}
	}
	out[abt2.FormatZip] = zipped(t, items...)
	return out
}

// listing returns the files below a folder with what is in them, links as "→ target".
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case d.IsDir():
			out[name] = "/"
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			out[name] = "→ " + to
			return err
		default:
			b, err := os.ReadFile(path)
			out[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUnpacked(t *testing.T) {
	for name, c := range map[string]struct {
		items []item
		want  map[string]string
	}{
		"files": {[]item{file("module.yaml", "kind: service\n"), file("bin/api", "x", 0o755)},
			map[string]string{"module.yaml": "kind: service\n", "bin": "/", "bin/api": "x"}},
		"the only folder stays": {[]item{folder("shop/"), file("shop/api", "x")}, map[string]string{"shop": "/", "shop/api": "x"}},
		"names with a dot":      {[]item{folder("./"), file("./api", "x"), folder("./empty/")}, map[string]string{"api": "x", "empty": "/"}},
		"a folder twice":        {[]item{folder("a/"), folder("a/"), file("a/b", "x")}, map[string]string{"a": "/", "a/b": "x"}},
		"links inside": {[]item{symlink("lib/api", "../bin/api"), file("bin/api", "x"), symlink("here", "."), symlink("current", "lib/api")},
			map[string]string{"lib": "/", "lib/api": "→ ../bin/api", "bin": "/", "bin/api": "x", "here": "→ .", "current": "→ lib/api"}},
		"a link to nothing": {[]item{symlink("api", "gone"), file("x", "x")}, map[string]string{"api": "→ gone", "x": "x"}},
		"a hard link":       {[]item{file("a", "x"), hardlink("b/c", "a")}, map[string]string{"a": "x", "b": "/", "b/c": "x"}},
	} {
		for format, content := range formats(t, c.items...) {
			t.Run(name+" "+string(format), func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, artifact.Config{Dir: dir})
				a := put(t, s, content, "shop", format)
				path, err := s.Unpacked(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				got := listing(t, path)
				for k, v := range c.want {
					if got[k] != v {
						t.Errorf("%s is %q, want %q", k, got[k], v)
					}
				}
				if len(got) != len(c.want) {
					t.Errorf("got %v", got)
				}
				if b, err := s.ModuleYAML(t.Context(), a); err != nil || string(b) != c.want["module.yaml"] {
					t.Errorf("module.yaml is %q, %v", b, err)
				}
				wantEmpty(t, dir, "tmp")
			})
		}
	}
}

func TestUnpackRefused(t *testing.T) {
	for name, c := range map[string]struct {
		items []item
		words []string
	}{
		"dots":                       {[]item{file("../evil", "x")}, []string{`entry "../evil"`, "leaves the folder"}},
		"dots inside":                {[]item{file("a/../../evil", "x")}, []string{`entry "a/../../evil"`, ".."}},
		"dots that come back":        {[]item{file("a/../b", "x")}, []string{`entry "a/../b"`, ".."}},
		"absolute":                   {[]item{file("/etc/passwd", "x")}, []string{`entry "/etc/passwd"`, "absolute"}},
		"backslash":                  {[]item{file(`a\..\b`, "x")}, []string{"use / between folders"}},
		"endless name":               {[]item{file(strings.Repeat("a/", 2100)+"x", "x")}, []string{"more than 4096 bytes"}},
		"link outside":               {[]item{symlink("l", "../x")}, []string{`entry "l"`, "links to ../x", "outside"}},
		"link to the root":           {[]item{symlink("l", "/etc")}, []string{"links to /etc"}},
		"link outside from a folder": {[]item{symlink("a/b/l", "../../../x")}, []string{`entry "a/b/l"`}},
		"link outside by a link": {[]item{folder("a/b/"), symlink("a/b/up", "../.."), symlink("l", "a/b/up/../x"), file("x", "")},
			[]string{`entry "l"`, "leaves the folder"}},
		"links in a circle":      {[]item{symlink("a", "b"), symlink("b", "a")}, []string{"in a circle"}},
		"file through a link":    {[]item{symlink("a", "b"), folder("b/"), file("a/x", "x")}, []string{`entry "a"`, "twice"}},
		"hard link outside":      {[]item{hardlink("l", "../x")}, []string{"links to ../x", "outside"}},
		"hard link to nothing":   {[]item{hardlink("l", "x")}, []string{"links to x", "no file in the archive"}},
		"hard link to a link":    {[]item{file("x", ""), symlink("s", "x"), hardlink("l", "s")}, []string{"no file in the archive"}},
		"device":                 {[]item{{"dev", "", 0, tar.TypeChar}}, []string{`entry "dev"`, "neither file, folder nor link"}},
		"pipe":                   {[]item{{"pipe", "", 0, tar.TypeFifo}}, []string{`entry "pipe"`}},
		"twice":                  {[]item{file("a", "x"), file("./a", "y")}, []string{`entry "./a"`, "twice"}},
		"file that is a folder":  {[]item{file("a", "x"), file("a/b", "y")}, []string{`entry "a/b"`, "same name as its folder"}},
		"folder that is a file":  {[]item{file("a/b", "y"), file("a", "x")}, []string{`entry "a"`, "twice"}},
		"bomb":                   {[]item{file("a", strings.Repeat("\x00", 60_000)), file("b", strings.Repeat("\x00", 60_000))}, []string{`entry "b"`, "100000 bytes"}},
		"too many":               {[]item{file("1", ""), file("2", ""), file("3/3/3/3", ""), file("4", ""), file("5", ""), file("6", "")}, []string{"too many", "8 entries"}},
		"nothing but the folder": {[]item{folder("./")}, []string{"has nothing in it"}},
	} {
		for format, content := range formats(t, c.items...) {
			t.Run(name+" "+string(format), func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, artifact.Config{Dir: filepath.Join(dir, "store"), MaxUnpacked: 100_000, MaxFiles: 8})
				a := put(t, s, content, "shop", format)
				_, err := s.Unpacked(t.Context(), a)
				wantError(t, err, abt2.CodeInvalid, append(c.words, "artifact shop")...)
				_, err = s.ModuleYAML(t.Context(), a)
				wantError(t, err, abt2.CodeInvalid)
				wantEmpty(t, filepath.Join(dir, "store"), "tmp", "ready")
				if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
					t.Errorf("outside the store are %v, %v", entries, err)
				}
			})
		}
	}
}

func TestDamaged(t *testing.T) {
	noise := make([]byte, 6000) // that no format makes smaller
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	items := []item{file("a", string(noise)), file("b", "x")}
	for format, content := range formats(t, items...) {
		for _, cut := range []int{600, 3000, 5900} {
			s := open(t, artifact.Config{})
			_, err := s.Unpacked(t.Context(), put(t, s, content[:cut], "shop", format))
			wantError(t, err, abt2.CodeInvalid, "shop", "damaged")
		}
	}
	// A zip's directory may be whole and a file in it not.
	content := []byte(zipped(t, items...))
	content[60] ^= 0xff
	s := open(t, artifact.Config{})
	_, err := s.Unpacked(t.Context(), put(t, s, string(content), "shop", abt2.FormatZip))
	wantError(t, err, abt2.CodeInvalid, "entry a", "damaged")
}

func TestUnpackedAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	a := put(t, s, tarred(t, file("a/b", "x"), file("c", "y")), "shop", abt2.FormatTar)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			path, err := s.Unpacked(t.Context(), a)
			if err != nil {
				t.Error(err)
			} else if got := listing(t, path); len(got) != 3 {
				t.Errorf("got %v", got)
			}
		})
	}
	all.Wait()
	wantEmpty(t, dir, "tmp")
}

func TestUnpackCancelled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for format, content := range formats(t, file("a", "x")) {
		_, err := s.Unpacked(ctx, put(t, s, content, "shop", format))
		wantError(t, err, abt2.CodeUnavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	wantEmpty(t, dir, "tmp", "ready")
}

func TestModuleYAMLThatIsNoFile(t *testing.T) {
	s := open(t, artifact.Config{})
	for format, content := range formats(t, file("module.yaml/x", "x")) {
		_, err := s.ModuleYAML(t.Context(), put(t, s, content, "shop", format))
		wantError(t, err, abt2.CodeInvalid, "module.yaml", "must be a file")
	}
}

// FuzzUnpack looks for archives that are unpacked to anywhere but their folder,
// or that bring the process down.
func FuzzUnpack(f *testing.F) {
	seeds := [][]item{
		{file("module.yaml", "kind: service\n"), file("bin/api", "x", 0o755)},
		{file("../evil", "x")}, {file("/evil", "x")}, {symlink("l", "../x"), file("l/x", "y")},
		{folder("a/b/"), symlink("a/b/up", "../.."), symlink("l", "a/b/up/../x")},
		{file("a", "x"), {"b", "a", 0, tar.TypeLink}},
	}
	for _, items := range seeds {
		for format, content := range formats(f, items...) {
			f.Add(string(format), []byte(content))
		}
	}
	f.Fuzz(func(t *testing.T, format string, content []byte) {
		dir := t.TempDir()
		s := open(t, artifact.Config{Dir: filepath.Join(dir, "store"), MaxSize: 1 << 20, MaxUnpacked: 1 << 20, MaxFiles: 100})
		a := describe(string(content), "shop", abt2.ArtifactFormat(format))
		if err := s.Put(t.Context(), a, bytes.NewReader(content)); err != nil {
			return
		}
		path, err := s.Unpacked(t.Context(), a)
		if code := abt2.CodeOf(err); err != nil && code != abt2.CodeInvalid && code != abt2.CodeFailed {
			t.Errorf("%s: %v", code, err)
		}
		if err == nil && a.Format != abt2.FormatExecutable && a.Format != abt2.FormatJar {
			root, err := os.OpenRoot(path)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			for name := range listing(t, path) {
				if _, err := root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("outside the store are %v, %v", entries, err)
		}
	})
}
