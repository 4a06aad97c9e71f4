package artifact_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/artifact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const script = "#!/bin/sh\necho hello\n"

func open(t testing.TB, c artifact.Config) *artifact.Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := artifact.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	// Unpacked folders are read-only; the test's folder must be removable by anyone.
	t.Cleanup(func() {
		if _, _, err := s.Remove(context.Background(), nil); err != nil {
			t.Error(err)
		}
	})
	return s
}

func describe(content, name string, f abt2.ArtifactFormat) abt2.Artifact {
	sum := sha256.Sum256([]byte(content))
	return abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: name, Format: f}
}

func put(t testing.TB, s *artifact.Store, content, name string, f abt2.ArtifactFormat) abt2.Artifact {
	t.Helper()
	a := describe(content, name, f)
	if err := s.Put(t.Context(), a, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return a
}

func wantError(t *testing.T, err error, code abt2.Code, words ...string) {
	t.Helper()
	if abt2.CodeOf(err) != code {
		t.Fatalf("got %q (%v), want code %q", abt2.CodeOf(err), err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// wantEmpty checks that nothing is left in the store's folders.
func wantEmpty(t *testing.T, dir string, places ...string) {
	t.Helper()
	for _, p := range places {
		entries, err := os.ReadDir(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			t.Errorf("%s/%s is left", p, e.Name())
		}
	}
}

func TestPut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	a := describe(script, "api", abt2.FormatExecutable)
	if s.Has(a.Digest) {
		t.Error("it is here before it was put")
	}
	put(t, s, script, "api", abt2.FormatExecutable)
	if !s.Has(a.Digest) {
		t.Error("it is not here")
	}
	// Again, without reading.
	if err := s.Put(t.Context(), a, iotest.ErrReader(errors.New("was read"))); err != nil {
		t.Error(err)
	}
	// After a restart.
	if s := open(t, artifact.Config{Dir: dir}); !s.Has(a.Digest) {
		t.Error("it is not here after a restart")
	}
	wantEmpty(t, dir, "tmp")
}

func TestHasOnlyDigests(t *testing.T) {
	s := open(t, artifact.Config{})
	for _, d := range []string{"", ".", "..", "../tmp", strings.Repeat("A", 64)} {
		if s.Has(d) {
			t.Errorf("has %q", d)
		}
	}
}

func TestPutRefused(t *testing.T) {
	good := describe(script, "api", abt2.FormatExecutable)
	with := func(change func(*abt2.Artifact)) abt2.Artifact {
		a := good
		change(&a)
		return a
	}
	broken := errors.New("connection reset")
	for name, c := range map[string]struct {
		a     abt2.Artifact
		body  io.Reader
		code  abt2.Code
		words []string
	}{
		"no digest":  {with(func(a *abt2.Artifact) { a.Digest = "" }), strings.NewReader(script), abt2.CodeInvalid, []string{"api", "64 hexadecimal"}},
		"a path":     {with(func(a *abt2.Artifact) { a.Digest = "../../x" }), strings.NewReader(script), abt2.CodeInvalid, []string{`"../../x"`}},
		"empty":      {with(func(a *abt2.Artifact) { a.Size = 0 }), strings.NewReader(""), abt2.CodeInvalid, []string{"api", "empty"}},
		"too large":  {with(func(a *abt2.Artifact) { a.Size = 1001 }), strings.NewReader(script), abt2.CodeInvalid, []string{"1001 bytes", "at most 1000"}},
		"too short":  {good, strings.NewReader(script[:5]), abt2.CodeInvalid, []string{"does not have the stated 21 bytes"}},
		"too long":   {good, strings.NewReader(script + "x"), abt2.CodeInvalid, []string{"does not have the stated 21 bytes"}},
		"another":    {good, strings.NewReader(strings.ToUpper(script)), abt2.CodeInvalid, []string{"does not have the stated sha256"}},
		"broken off": {good, io.MultiReader(strings.NewReader(script[:5]), iotest.ErrReader(broken)), abt2.CodeUnavailable, []string{"5 of 21 bytes", "nothing was stored"}},
		"no format":  {with(func(a *abt2.Artifact) { a.Format = "rar" }), strings.NewReader(script), abt2.CodeInvalid, []string{`"rar"`, "tar.gz"}},
		"no zip":     {with(func(a *abt2.Artifact) { a.Format = abt2.FormatZip }), strings.NewReader(script), abt2.CodeInvalid, []string{"is no zip"}},
		"no jar":     {with(func(a *abt2.Artifact) { a.Format = abt2.FormatJar }), strings.NewReader(script), abt2.CodeInvalid, []string{"is no zip"}},
		"no gzip":    {with(func(a *abt2.Artifact) { a.Format = abt2.FormatTarGz }), strings.NewReader(script), abt2.CodeInvalid, []string{"is no gzip"}},
		"no tar":     {with(func(a *abt2.Artifact) { a.Format = abt2.FormatTar }), strings.NewReader(script), abt2.CodeInvalid, []string{"is no tar"}},
		"no program": {describe("hello", "api", abt2.FormatExecutable), strings.NewReader("hello"), abt2.CodeInvalid, []string{"is no program", "ELF"}},
		"gzip of no tar": {describe(gzipped(t, script), "api", abt2.FormatTarGz), strings.NewReader(gzipped(t, script)), abt2.CodeInvalid,
			[]string{"is no tar file inside"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, artifact.Config{Dir: dir, MaxSize: 1000})
			wantError(t, s.Put(t.Context(), c.a, c.body), c.code, c.words...)
			wantEmpty(t, dir, "tmp", "blobs")
		})
	}
}

// TestAnotherFormat: the same bytes under a false claim are refused although they are here.
func TestAnotherFormat(t *testing.T) {
	s := open(t, artifact.Config{})
	a := put(t, s, script, "api", abt2.FormatExecutable)
	a.Format = abt2.FormatZip
	wantError(t, s.Put(t.Context(), a, nil), abt2.CodeInvalid, "is no zip")
	a.Format, a.Size = abt2.FormatExecutable, 5
	wantError(t, s.Put(t.Context(), a, nil), abt2.CodeInvalid, "has 21 bytes")
}

func TestPutCancelled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	a := describe(script, "api", abt2.FormatExecutable)
	body := io.MultiReader(strings.NewReader(script[:5]), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), strings.NewReader(script[5:]))
	err := s.Put(ctx, a, body)
	wantError(t, err, abt2.CodeUnavailable, "nothing was stored")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantEmpty(t, dir, "tmp", "blobs")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestPutAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	content := script + strings.Repeat("# more\n", 10_000)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { put(t, s, content, "api", abt2.FormatExecutable) })
	}
	all.Wait()
	wantEmpty(t, dir, "tmp")
	got, err := os.ReadFile(filepath.Join(dir, "blobs", describe(content, "", "").Digest))
	if err != nil || string(got) != content {
		t.Errorf("%d bytes stored, %v", len(got), err)
	}
}

func TestRemainsOfACrash(t *testing.T) {
	dir := t.TempDir()
	open(t, artifact.Config{Dir: dir})
	deep := filepath.Join(dir, "tmp", "unpack-1", "new", "bin")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "x"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(deep, 0o500); err != nil {
		t.Fatal(err)
	}
	open(t, artifact.Config{Dir: dir})
	wantEmpty(t, dir, "tmp")
}

func TestExecutable(t *testing.T) {
	s := open(t, artifact.Config{})
	for name, want := range map[string]string{
		"/home/lihua/bin/api":      "api",
		"-rf":                      "rf",
		"..":                       "artifact",
		".hidden":                  "hidden",
		"my api; x":                "my_api__x",
		"":                         "artifact",
		strings.Repeat("a", 300):   strings.Repeat("a", 100),
		"订单":                       "__",
		"api-2.0_rc+1.linux-amd64": "api-2.0_rc+1.linux-amd64",
	} {
		a := put(t, s, script, name, abt2.FormatExecutable)
		path, err := s.Unpacked(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) != want {
			t.Errorf("%q became %q, want %q", name, filepath.Base(path), want)
		}
		if again, err := s.Unpacked(t.Context(), a); err != nil || again != path {
			t.Errorf("the second time it is at %s, %v", again, err)
		}
		if out, err := exec.Command(path).Output(); err != nil || string(out) != "hello\n" {
			t.Errorf("%s: %q, %v", path, out, err)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 1 {
			t.Errorf("beside it are %v, %v", entries, err)
		}
		if b, err := s.ModuleYAML(t.Context(), a); err != nil || b != nil {
			t.Errorf("module.yaml is %q, %v", b, err)
		}
	}
}

func TestJar(t *testing.T) {
	s := open(t, artifact.Config{})
	for content, want := range map[string]string{
		zipped(t, file("META-INF/MANIFEST.MF", "x"), file("module.yaml", "kind: service\n")): "kind: service\n",
		zipped(t, file("META-INF/module.yaml", "x")):                                         "",
	} {
		a := put(t, s, content, "order.war", abt2.FormatJar)
		path, err := s.Unpacked(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content || filepath.Base(path) != "order.war" {
			t.Errorf("%s: %v", path, err)
		}
		if b, err := s.ModuleYAML(t.Context(), a); err != nil || string(b) != want {
			t.Errorf("module.yaml is %q, %v", b, err)
		}
	}
}

func TestNotHere(t *testing.T) {
	s := open(t, artifact.Config{})
	a := describe(script, "api", abt2.FormatExecutable)
	_, err := s.Unpacked(t.Context(), a)
	wantError(t, err, abt2.CodeNotFound, a.Digest, "put it again")
	a.Format = abt2.FormatJar
	_, err = s.ModuleYAML(t.Context(), a)
	wantError(t, err, abt2.CodeNotFound, a.Digest)
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	keep := put(t, s, script+"# keep", "keep", abt2.FormatExecutable)
	program := put(t, s, script+"# go", "go", abt2.FormatExecutable)
	archive := put(t, s, tarred(t, file("bin/api", strings.Repeat("x", 1000)), file("README", "hello")), "shop.tar", abt2.FormatTar)
	for _, a := range []abt2.Artifact{keep, program, archive} {
		if _, err := s.Unpacked(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	removed, freed, err := s.Remove(t.Context(), map[string]bool{keep.Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	// The program runs from the bytes that are stored; an archive has them twice.
	if want := program.Size + archive.Size + 1005; removed != 2 || freed != want {
		t.Errorf("removed %d, freed %d, want 2 and %d", removed, freed, want)
	}
	if !s.Has(keep.Digest) || s.Has(program.Digest) || s.Has(archive.Digest) {
		t.Error("the wrong ones are gone")
	}
	if path, err := s.Unpacked(t.Context(), keep); err != nil {
		t.Error(err)
	} else if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if removed, freed, err := s.Remove(t.Context(), map[string]bool{keep.Digest: true}); removed != 0 || freed != 0 || err != nil {
		t.Errorf("the second time: %d, %d, %v", removed, freed, err)
	}
	wantEmpty(t, dir, "tmp")
	if _, _, err := s.Remove(t.Context(), nil); err != nil {
		t.Error(err)
	}
	wantEmpty(t, dir, "tmp", "blobs", "ready")
}

func TestRemoveCancelled(t *testing.T) {
	s := open(t, artifact.Config{})
	a := put(t, s, script, "api", abt2.FormatExecutable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Remove(ctx, nil)
	wantError(t, err, abt2.CodeUnavailable)
	if !s.Has(a.Digest) {
		t.Error("it was removed")
	}
}

func TestCannotOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := artifact.Open(artifact.Config{Dir: path})
	wantError(t, err, abt2.CodeFailed, path)
}

// TestReadOnly: what runs is changed by nobody.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, artifact.Config{Dir: dir})
	a := put(t, s, tarred(t, file("bin/api", script, 0o755), file("etc/x", "y", 0o666)), "shop.tar", abt2.FormatTar)
	path, err := s.Unpacked(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]fs.FileMode{".": 0o500, "bin": 0o500, "etc": 0o500, "bin/api": 0o500, "etc/x": 0o400}
	for name, want := range modes {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(path, "etc/x")); err != nil || !bytes.Equal(b, []byte("y")) {
		t.Errorf("got %q, %v", b, err)
	}
}

// While somebody holds what is here nothing is removed; afterwards it is.
func TestHold(t *testing.T) {
	s, err := artifact.Open(artifact.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	content := "#!/bin/sh\n"
	sum := sha256.Sum256([]byte(content))
	a := abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: "api", Format: abt2.FormatExecutable}
	if err := s.Put(t.Context(), a, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	first, second := s.Hold(), s.Hold()
	first()
	first() // once counts
	if n, _, err := s.Remove(t.Context(), nil); n != 0 || err != nil || !s.Has(a.Digest) || !s.Intact(t.Context(), a.Digest) {
		t.Errorf("removed %d, %v, while it is held", n, err)
	}
	second()
	if n, _, err := s.Remove(t.Context(), nil); n != 1 || err != nil || s.Has(a.Digest) || s.Intact(t.Context(), a.Digest) {
		t.Errorf("removed %d, %v", n, err)
	}
	if _, err := s.Size(a.Digest); abt2.CodeOf(err) != abt2.CodeNotFound {
		t.Errorf("size of what is not here: %v", err)
	}
}
