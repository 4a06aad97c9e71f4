package artifact

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"abt2.dev"
)

// entry is one thing in an archive.
type entry struct {
	name string // as written in the archive
	kind entryKind
	exec bool
	link string    // where a link leads
	body io.Reader // of a file, until the next entry is taken
}

type entryKind int

const (
	kindFile entryKind = iota
	kindFolder
	kindSymlink
	kindHardLink
	kindOther // devices, pipes, sockets
)

// entriesOf goes through an archive in its own order. An error ends the sequence.
func entriesOf(ctx context.Context, a abt2.Artifact, f *os.File) (iter.Seq2[entry, error], error) {
	switch a.Format {
	case abt2.FormatTar:
		return tarEntries(&ctxReader{ctx, f}), nil
	case abt2.FormatTarGz:
		z, err := gzip.NewReader(&ctxReader{ctx, f})
		if err != nil {
			return nil, damaged(a.Name, err)
		}
		return tarEntries(z), nil
	case abt2.FormatZip:
		z, err := openZip(a, f)
		if err != nil {
			return nil, err
		}
		return zipEntries(ctx, z), nil
	}
	return nil, abt2.Errorf(abt2.CodeInvalid, "artifact %s: format %q: is no archive", a.Name, a.Format)
}

func damaged(name string, err error) error {
	var known *abt2.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return abt2.Wrap(abt2.CodeUnavailable, err, "artifact %s: not unpacked in time", name)
	}
	return abt2.Wrap(abt2.CodeInvalid, err, "artifact %s: is damaged; build it again", name)
}

func openZip(a abt2.Artifact, f *os.File) (*zip.Reader, error) {
	z, err := zip.NewReader(f, a.Size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are checked one by one
		return nil, damaged(a.Name, err)
	}
	return z, nil
}

func tarEntries(r io.Reader) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		t := tar.NewReader(r)
		for {
			h, err := t.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
				yield(entry{}, err)
				return
			}
			e := entry{name: h.Name, exec: h.Mode&0o111 != 0, body: t}
			switch h.Typeflag {
			case tar.TypeReg, tar.TypeGNUSparse:
			case tar.TypeDir:
				e.kind = kindFolder
			case tar.TypeSymlink:
				e.kind, e.link = kindSymlink, h.Linkname
			case tar.TypeLink:
				e.kind, e.link = kindHardLink, h.Linkname
			case tar.TypeXGlobalHeader:
				continue // describes the archive, not a file
			default:
				e.kind = kindOther
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func zipEntries(ctx context.Context, z *zip.Reader) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for _, f := range z.File {
			e, closer, err := zipEntry(ctx, f)
			more := yield(e, err)
			if closer != nil {
				_ = closer.Close()
			}
			if err != nil || !more {
				return
			}
		}
	}
}

func zipEntry(ctx context.Context, f *zip.File) (entry, io.Closer, error) {
	e := entry{name: f.Name, exec: f.Mode()&0o111 != 0}
	switch f.Mode().Type() {
	case fs.ModeDir:
		e.kind = kindFolder
		return e, nil, nil
	case 0, fs.ModeSymlink:
	default:
		e.kind = kindOther
		return e, nil, nil
	}
	body, err := f.Open()
	if err != nil {
		return e, nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	e.body = &ctxReader{ctx, body}
	if f.Mode().Type() == fs.ModeSymlink {
		b, err := io.ReadAll(io.LimitReader(e.body, longestName))
		if err != nil {
			return e, body, fmt.Errorf("%s: %w", f.Name, err)
		}
		e.kind, e.link = kindSymlink, string(b)
	}
	return e, body, nil
}
