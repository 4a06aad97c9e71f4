package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"abt2.dev"
)

// maxManifest bounds what is read before anything is known of a file.
const maxManifest = 64 << 20

// block is the unit of a tar file; two empty ones end it.
const block = 512

// Read reads a backup from r to its end marker, handing the manifest to begin
// and then each part, in order, to take. Whatever take does not read is read
// for it; a part is right only if Read goes on after it, and the backup only if
// Read returns nil. Errors of begin and take are returned as they are; all
// others are CodeInvalid, or CodeRefused for a newer format than this program,
// version own, can read, and say where in the file it was.
func Read(ctx context.Context, r io.Reader, own string, begin func(Manifest) error, take func(Part, io.Reader) error) error {
	f := &file{in: &counted{r: &reader{ctx: ctx, r: r}}}
	f.tar = tar.NewReader(f.in)
	m, err := f.manifest(own)
	if err != nil {
		return err
	}
	if err := begin(m); err != nil {
		return err
	}
	for i, p := range m.Parts {
		if err := f.part(i, len(m.Parts), p, take); err != nil {
			return err
		}
	}
	return f.end()
}

// file is a backup that is being read.
type file struct {
	in  *counted
	tar *tar.Reader
	sum string // what the end marker must hold
}

// next goes on to the entry that must come now.
func (f *file) next(name string, size int64) error {
	h, err := f.tar.Next()
	switch {
	case err != nil:
		return f.broken(err, "where %s should be", name)
	case h.Name != name || h.Typeflag != tar.TypeReg || size >= 0 && h.Size != size:
		return abt2.Errorf(abt2.CodeInvalid, "at byte %d is an entry %q (type %c, %d bytes) where %s should be; the file was changed, use another backup", f.in.n, h.Name, h.Typeflag, h.Size, name)
	}
	return nil
}

func (f *file) manifest(own string) (Manifest, error) {
	h, err := f.tar.Next()
	if err != nil || h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		if f.in.err != nil {
			return Manifest{}, f.broken(err, "before its manifest")
		}
		return Manifest{}, abt2.Wrap(abt2.CodeInvalid, err, "is no backup that abt2 has written")
	}
	b, err := io.ReadAll(f.tar)
	if err != nil {
		return Manifest{}, f.broken(err, "in its manifest")
	}
	f.sum = endOf(b)
	return decode(b, own)
}

func (f *file) part(i, of int, p Part, take func(Part, io.Reader) error) error {
	if err := f.next(p.Name, p.Size); err != nil {
		return err
	}
	sum := sha256.New()
	content := &counted{r: io.TeeReader(f.tar, sum)}
	taken := take(p, content)
	if content.err == nil {
		_, _ = io.Copy(io.Discard, content)
	}
	if content.err != nil {
		return f.broken(content.err, "in part %d of %d, %s", i+1, of, p.Name)
	}
	if hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return abt2.Errorf(abt2.CodeInvalid, "part %d of %d, %s, is damaged: it is not what its sha256 says; use another backup", i+1, of, p.Name)
	}
	return taken
}

// end makes sure that the file is whole and nothing else comes.
func (f *file) end() error {
	if err := f.next(endName, int64(len(f.sum))); err != nil {
		return err
	}
	b, err := io.ReadAll(f.tar)
	if err != nil {
		return f.broken(err, "in its end marker")
	}
	if string(b) != f.sum {
		return abt2.Errorf(abt2.CodeInvalid, "its manifest is damaged: it is not what its sha256 says; use another backup")
	}
	marker := (f.in.n + block - 1) / block * block
	switch h, err := f.tar.Next(); {
	case err == nil:
		return abt2.Errorf(abt2.CodeInvalid, "at byte %d, after its end, is an entry %q; the file was changed, use another backup", f.in.n, h.Name)
	case !errors.Is(err, io.EOF) || f.in.err != nil:
		return f.broken(err, "after its end marker")
	}
	if n, _ := io.ReadFull(f.in, make([]byte, 1)); f.in.n-int64(n) != marker+2*block || n > 0 {
		return abt2.Errorf(abt2.CodeInvalid, "is cut short, or something follows: it has %d bytes or more and should have %d; use another backup", f.in.n, marker+2*block)
	}
	return nil
}

// broken tells why and where reading has come to an end.
func (f *file) broken(err error, format string, args ...any) error {
	where := abt2.Errorf(abt2.CodeInvalid, format, args...).Message
	switch {
	case f.in.err != nil:
		return abt2.Wrap(abt2.CodeFailed, f.in.err, "cannot be read on after byte %d, %s", f.in.n, where)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return abt2.Errorf(abt2.CodeInvalid, "is cut short after byte %d, %s; use another backup", f.in.n, where)
	}
	return abt2.Wrap(abt2.CodeInvalid, err, "is damaged at byte %d, %s; use another backup", f.in.n, where)
}

// counted counts what is read and remembers why it could not go on.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
