package cli

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"abt2.dev"
)

// openFolder returns the folder as a tar stream. Equal contents make equal
// streams: the order is by name, dates and owners are fixed, and of the mode
// only the executable bit counts.
func openFolder(dir string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--path %q: cannot be read; name a folder that may be read", dir)
	}
	r, w := io.Pipe()
	f := &folder{PipeReader: r, done: make(chan struct{})}
	go func() { // ends when the stream has been read or closed
		defer close(f.done)
		defer root.Close()
		w.CloseWithError(writeFolder(w, root, dir))
	}()
	return f, nil
}

type folder struct {
	*io.PipeReader
	done chan struct{}
}

func (f *folder) Close() error {
	err := f.PipeReader.Close()
	<-f.done
	return err
}

func writeFolder(w io.Writer, root *os.Root, dir string) error {
	tw := tar.NewWriter(w)
	empty := true
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		empty = empty && d.IsDir()
		return writeEntry(tw, root, dir, name)
	})
	if err == nil && empty {
		err = abt2.Errorf(abt2.CodeInvalid, "--path %q: is an empty folder; build it again", dir)
	}
	if err != nil {
		return err
	}
	return tw.Close()
}

func writeEntry(tw *tar.Writer, root *os.Root, dir, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, ModTime: time.Unix(0, 0), Mode: 0o644}
	switch mode := info.Mode(); {
	case mode.IsDir():
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, name+"/", 0o755
		return tw.WriteHeader(h)
	case mode&fs.ModeSymlink != 0:
		target, err := root.Readlink(name)
		if err != nil {
			return err
		}
		if !staysInside(root, name, target) {
			return abt2.Errorf(abt2.CodeInvalid, "--path %q: the link %s leads out of the folder, to %s; replace it by what it names", dir, name, target)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, filepath.ToSlash(target)
		return tw.WriteHeader(h)
	case !mode.IsRegular():
		return abt2.Errorf(abt2.CodeInvalid, "--path %q: %s is neither a file, a folder nor a link; remove it", dir, name)
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if info.Mode()&0o111 != 0 {
		h.Mode = 0o755
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	// A file that is being written to must not break the archive: the server
	// refuses it by its digest.
	if _, err := io.CopyN(tw, f, h.Size); errors.Is(err, io.EOF) {
		return abt2.Errorf(abt2.CodeFailed, "--path %q: %s changed while it was read; wait for the build to end", dir, name)
	} else if err != nil {
		return err
	}
	return nil
}

// staysInside tells whether a link leads to a place in the folder, by its words
// and, following the links on its way, in truth.
func staysInside(root *os.Root, name, target string) bool {
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), filepath.ToSlash(target))) {
		return false
	}
	_, err := root.Stat(name)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
