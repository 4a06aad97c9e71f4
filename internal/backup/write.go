package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"abt2.dev"
)

// Write writes a backup to w. It asks for each part's content in turn, and
// fails where that is not what the manifest says: a damaged build is noticed
// now, not when it is needed. What has been written by then has no end marker.
// Memory does not grow with the parts.
func Write(ctx context.Context, w io.Writer, m Manifest, content func(Part) (io.ReadCloser, error)) error {
	m.Format = Format
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "the manifest of the backup cannot be encoded")
	}
	t := tar.NewWriter(w)
	if err := entry(t, m, manifestName, int64(len(b))); err != nil {
		return err
	}
	if _, err := t.Write(b); err != nil {
		return outside(err)
	}
	buffer := make([]byte, 256<<10)
	for _, p := range m.Parts {
		if err := part(ctx, t, m, p, content, buffer); err != nil {
			return err
		}
	}
	end := endOf(b)
	if err := entry(t, m, endName, int64(len(end))); err != nil {
		return err
	}
	if _, err := io.WriteString(t, end); err != nil {
		return outside(err)
	}
	return outside(t.Close())
}

// endOf is what the end marker of a manifest holds.
func endOf(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:]) + "\n"
}

func entry(t *tar.Writer, m Manifest, name string, size int64) error {
	return outside(t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: m.Created}))
}

func part(ctx context.Context, t *tar.Writer, m Manifest, p Part, content func(Part) (io.ReadCloser, error), buffer []byte) error {
	r, err := content(p)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := entry(t, m, p.Name, p.Size); err != nil {
		return err
	}
	sum := sha256.New()
	in := &reader{ctx: ctx, r: io.TeeReader(io.LimitReader(r, p.Size), sum)}
	n, err := io.CopyBuffer(onlyWriter{t}, in, buffer)
	switch {
	case in.err != nil:
		return abt2.Wrap(abt2.CodeFailed, in.err, "%s cannot be read", p.Name)
	case err != nil:
		return outside(err)
	case n != p.Size || hex.EncodeToString(sum.Sum(nil)) != p.SHA256:
		return abt2.Errorf(abt2.CodeFailed, "%s is damaged on the server's disk: it is not what its sha256 says; remove it there, put the build again, and repeat", p.Name)
	}
	return nil
}

// onlyWriter hides tar.Writer's ReadFrom, which would not use the buffer.
type onlyWriter struct{ io.Writer }

// reader stops when the context has ended, and remembers that it was reading,
// not writing, that failed.
type reader struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (r *reader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
		return 0, r.err
	}
	n, err := r.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// outside is an error of whatever the backup is written to.
func outside(err error) error {
	if err == nil {
		return nil
	}
	return abt2.Wrap(abt2.CodeFailed, err, "the backup cannot be written")
}
