package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"

	"abt2.dev"
)

// build is a file or folder to be uploaded, whose content is known.
type build struct {
	abt2.Artifact
	path string
}

// formats are the files that are builds without being executable.
var formats = []struct {
	suffix string
	format abt2.ArtifactFormat
}{
	{".jar", abt2.FormatJar}, {".war", abt2.FormatJar},
	{".tar.gz", abt2.FormatTarGz}, {".tgz", abt2.FormatTarGz},
	{".zip", abt2.FormatZip},
}

// readBuild looks at the build at path and reads it once, for its digest and size.
func readBuild(ctx context.Context, path string) (build, error) {
	abs, err := absolute(path)
	if err != nil {
		return build{}, err
	}
	b := build{Artifact: abt2.Artifact{Name: filepath.Base(abs)}, path: path}
	info, err := os.Stat(path)
	if err != nil {
		return build{}, abt2.Wrap(abt2.CodeInvalid, err, "--path %q: cannot be read; name a file or folder that exists", path)
	}
	if b.Format, err = formatOf(path, info); err != nil {
		return build{}, err
	}
	r, err := b.open()
	if err != nil {
		return build{}, err
	}
	defer r.Close()
	sum := sha256.New()
	if b.Size, err = io.Copy(sum, whileAlive{ctx, r}); err != nil {
		return build{}, abt2.Wrap(abt2.CodeOf(ours(err)), err, "--path %q: cannot be read", path)
	}
	b.Digest = hex.EncodeToString(sum.Sum(nil))
	return b, nil
}

// ours makes an input error of any that is not one of ours already.
func ours(err error) error {
	if abt2.CodeOf(err) == abt2.CodeInternal {
		return abt2.Wrap(abt2.CodeInvalid, err, "read")
	}
	return err
}

func formatOf(path string, info os.FileInfo) (abt2.ArtifactFormat, error) {
	switch {
	case info.IsDir():
		return abt2.FormatTar, nil
	case !info.Mode().IsRegular():
		return "", abt2.Errorf(abt2.CodeInvalid, "--path %q: is neither a file nor a folder; name a build", path)
	case info.Size() == 0:
		return "", abt2.Errorf(abt2.CodeInvalid, "--path %q: is empty; build it again", path)
	}
	for _, f := range formats {
		if strings.HasSuffix(strings.ToLower(path), f.suffix) {
			return f.format, nil
		}
	}
	if info.Mode()&0o111 == 0 {
		return "", abt2.Errorf(abt2.CodeInvalid,
			"--path %q: is not executable, and not a .jar, .war, .tar.gz, .tgz or .zip; make it executable: chmod +x %s", path, path)
	}
	return abt2.FormatExecutable, nil
}

// open returns the bytes to upload, from their beginning.
func (b build) open() (io.ReadCloser, error) {
	if b.Format == abt2.FormatTar {
		return openFolder(b.path)
	}
	f, err := os.Open(b.path)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--path %q: cannot be read; name a file or folder that may be read", b.path)
	}
	return f, nil
}

// whileAlive reads until the context ends.
type whileAlive struct {
	ctx context.Context
	r   io.Reader
}

func (w whileAlive) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.r.Read(p)
}
