package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"abt2.dev"
	"abt2.dev/internal/backup"
)

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

const state = `{"key":"/abt2/state/meta","value":{}}` + "\n"

// contents are the builds of the example.
var contents = []string{"#!/bin/sh\n# one\n", strings.Repeat("two", 400), ""}

func example() backup.Manifest {
	m := backup.Manifest{
		Abt2: "v0.1.0", Installation: "I", Epoch: "E", Revision: 7, Created: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Parts: []backup.Part{{Name: backup.StateName, Size: int64(len(state)), SHA256: sum(state)}},
	}
	for _, c := range contents {
		m.Parts = append(m.Parts, backup.ArtifactPart(sum(c), int64(len(c))))
	}
	return m
}

func content(p backup.Part) (io.ReadCloser, error) {
	for _, c := range append(contents, state) {
		if sum(c) == p.SHA256 {
			return io.NopCloser(strings.NewReader(c)), nil
		}
	}
	return nil, fmt.Errorf("no part %s", p.Name)
}

func written(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := backup.Write(t.Context(), &b, example(), content); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns what is in a backup as one text.
func read(r io.Reader) (string, error) {
	var out strings.Builder
	err := backup.Read(context.Background(), r, "v0.1.0", func(m backup.Manifest) error {
		b, err := json.Marshal(m)
		fmt.Fprintf(&out, "%s\n", b)
		return err
	}, func(p backup.Part, content io.Reader) error {
		b, err := io.ReadAll(content)
		fmt.Fprintf(&out, "%s %s\n", p.Name, b)
		return err
	})
	return out.String(), err
}

func TestThereAndBack(t *testing.T) {
	got, err := read(iotest.OneByteReader(bytes.NewReader(written(t))))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range append([]string{`"installation":"I","epoch":"E","revision":7`, backup.StateName + " " + state}, contents...) {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// What nobody takes is checked all the same.
func TestPartsThatAreNotRead(t *testing.T) {
	b := bytes.Replace(written(t), []byte("# one"), []byte("# ton"), 1)
	err := backup.Read(t.Context(), bytes.NewReader(b), "", func(backup.Manifest) error { return nil }, func(backup.Part, io.Reader) error { return nil })
	if abt2.CodeOf(err) != abt2.CodeInvalid || !strings.Contains(err.Error(), "part 2 of 4") {
		t.Errorf("got %v", err)
	}
}

// Wherever a file is cut, that is noticed, and where it was is told.
func TestCutAnywhere(t *testing.T) {
	b := written(t)
	for n := range len(b) {
		_, err := read(bytes.NewReader(b[:n]))
		if abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(b), err)
		}
		if n >= 512 && !strings.Contains(err.Error(), "cut short") {
			t.Errorf("cut after %d of %d bytes: %v; want it to say so", n, len(b), err)
		}
	}
}

// Wherever a bit flips, it is noticed or makes no difference.
func TestFlipAnywhere(t *testing.T) {
	b := written(t)
	want, err := read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(b) {
		bad := bytes.Clone(b)
		bad[n] ^= 1 << (n % 8)
		got, err := read(bytes.NewReader(bad))
		if err == nil && got != want {
			t.Errorf("byte %d: taken as\n%s", n, got)
		}
	}
}

// tarball makes a file of entries, as somebody else might.
func tarball(t *testing.T, headers []*tar.Header, contents []string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, h := range headers {
		h.Size = int64(len(contents[i]))
		if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeDir {
			h.Size = 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, contents[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEvilNames(t *testing.T) {
	manifest := func(change func(*backup.Manifest)) string {
		m := example()
		m.Format = backup.Format
		change(&m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	same := func(*backup.Manifest) {}
	entry := func(name string) *tar.Header { return &tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg} }
	first := entry("abt2-backup.json")
	for name, tc := range map[string]struct {
		headers  []*tar.Header
		contents []string
		code     abt2.Code
		text     string
	}{
		"a name that climbs":      {[]*tar.Header{first, entry("../../etc/passwd")}, []string{manifest(same), state}, abt2.CodeInvalid, `"../../etc/passwd"`},
		"an absolute name":        {[]*tar.Header{first, entry("/etc/passwd")}, []string{manifest(same), state}, abt2.CodeInvalid, `"/etc/passwd"`},
		"a link":                  {[]*tar.Header{first, {Name: backup.StateName, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, []string{manifest(same), ""}, abt2.CodeInvalid, "type 2"},
		"a folder":                {[]*tar.Header{first, {Name: backup.StateName, Typeflag: tar.TypeDir}}, []string{manifest(same), ""}, abt2.CodeInvalid, "type 5"},
		"a part that climbs":      {[]*tar.Header{first}, []string{manifest(func(m *backup.Manifest) { m.Parts[1].Name = "artifacts/../../x" })}, abt2.CodeInvalid, "neither state nor artifact"},
		"a part of another name":  {[]*tar.Header{first}, []string{manifest(func(m *backup.Manifest) { m.Parts[1].Name = "artifacts/" + sum("else") })}, abt2.CodeInvalid, "neither state nor artifact"},
		"a part twice":            {[]*tar.Header{first}, []string{manifest(func(m *backup.Manifest) { m.Parts[2] = m.Parts[1] })}, abt2.CodeInvalid, "twice"},
		"a negative size":         {[]*tar.Header{first}, []string{manifest(func(m *backup.Manifest) { m.Parts[1].Size = -1 })}, abt2.CodeInvalid, "size -1"},
		"no state":                {[]*tar.Header{first}, []string{manifest(func(m *backup.Manifest) { m.Parts = m.Parts[1:] })}, abt2.CodeInvalid, "first part"},
		"no parts":                {[]*tar.Header{first}, []string{manifest(func(m *backup.Manifest) { m.Parts = nil })}, abt2.CodeInvalid, "first part"},
		"no JSON":                 {[]*tar.Header{first}, []string{"{"}, abt2.CodeInvalid, "damaged"},
		"no manifest":             {[]*tar.Header{entry("hello")}, []string{"x"}, abt2.CodeInvalid, "is no backup"},
		"a newer format":          {[]*tar.Header{first}, []string{`{"format":2,"abt2":"v0.9.0","parts":{"other":1}}`}, abt2.CodeRefused, "format 2, written by abt2 v0.9.0; this is abt2 v0.1.0"},
		"another size than named": {[]*tar.Header{first, entry(backup.StateName)}, []string{manifest(same), state + state}, abt2.CodeInvalid, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(bytes.NewReader(tarball(t, tc.headers, tc.contents)))
			if abt2.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v (%s)", err, abt2.CodeOf(err))
			}
		})
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	b := written(t)
	broken := errors.New("disk on fire")
	for _, n := range []int{0, 100, 600, 1600, 2100, len(b) - 100} {
		_, err := read(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken)))
		if abt2.CodeOf(err) != abt2.CodeFailed || !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// A build that has rotted on the server's disk is noticed when it is saved.
func TestDamagedBuildIsNotSaved(t *testing.T) {
	for name, other := range map[string]string{"other bytes": strings.Repeat("owt", 400), "fewer bytes": "two"} {
		err := backup.Write(t.Context(), io.Discard, example(), func(p backup.Part) (io.ReadCloser, error) {
			if p.SHA256 == sum(contents[1]) {
				return io.NopCloser(strings.NewReader(other)), nil
			}
			return content(p)
		})
		if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), sum(contents[1])+" is damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the caller has gone")
	cancel(gone)
	if err := backup.Write(ctx, io.Discard, example(), content); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	b := written(f)
	f.Add(b)
	f.Add(b[:1000])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := read(bytes.NewReader(b))
		if code := abt2.CodeOf(err); err != nil && code != abt2.CodeInvalid && code != abt2.CodeRefused {
			t.Errorf("got %v (%s)", err, code)
		}
	})
}

// zeros is a build of any size.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// BenchmarkWrite is what saving builds costs beside the disk; its memory does
// not grow with them.
func BenchmarkWrite(b *testing.B) {
	const size = 64 << 20
	h := sha256.New()
	if _, err := io.CopyN(h, zeros{}, size); err != nil {
		b.Fatal(err)
	}
	m := example()
	m.Parts = append(m.Parts[:1], backup.ArtifactPart(hex.EncodeToString(h.Sum(nil)), size))
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		err := backup.Write(b.Context(), io.Discard, m, func(p backup.Part) (io.ReadCloser, error) {
			if p.Artifact() != "" {
				return io.NopCloser(io.LimitReader(zeros{}, size)), nil
			}
			return content(p)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
