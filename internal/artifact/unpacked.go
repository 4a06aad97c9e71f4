package artifact

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"abt2.dev"
)

// ModuleFile is what an artifact says about how to run it, at its root.
const ModuleFile = "module.yaml"

// Unpacked returns where the artifact lies ready to run: the file of an
// executable or .jar, in a folder of its own, or the folder that an archive was
// unpacked to. Nobody may write there. The first call does the work; it may be
// repeated, and several callers may do it at once.
func (s *Store) Unpacked(ctx context.Context, a abt2.Artifact) (string, error) {
	if err := s.check(a); err != nil {
		return "", err
	}
	single := a.Format == abt2.FormatExecutable || a.Format == abt2.FormatJar
	place := filepath.Join(s.Dir, "ready", a.Digest+"."+string(a.Format))
	result := place
	if single {
		place += "." + fileName(a.Name) // the same bytes may have come under several names
		result = filepath.Join(place, fileName(a.Name))
	}
	if _, err := os.Lstat(place); err == nil {
		return result, nil
	}
	if err := s.checkStored(a); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(s.tmp(), "unpack-")
	if err != nil {
		return "", s.failure(err, "artifact %s: cannot be unpacked", a.Name)
	}
	defer func() { _ = removeAll(work) }()
	fresh := filepath.Join(work, "new")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return "", s.failure(err, "artifact %s: cannot be unpacked", a.Name)
	}
	if single {
		err = s.linkSingle(a, filepath.Join(fresh, fileName(a.Name)))
	} else {
		err = s.unpack(ctx, a, fresh)
	}
	if err == nil {
		err = syncTree(fresh)
	}
	if err != nil {
		return "", s.failure(err, "artifact %s: cannot be unpacked", a.Name)
	}
	if err := os.Rename(fresh, place); err != nil && !errors.Is(err, fs.ErrExist) { // else another caller was faster
		return "", s.failure(err, "artifact %s: cannot be unpacked", a.Name)
	}
	// Only now: a folder must be writable to be moved.
	if err := os.Chmod(place, 0o500); err != nil {
		return "", s.failure(err, "artifact %s: cannot be unpacked", a.Name)
	}
	if err := syncFolder(filepath.Dir(place)); err != nil {
		return "", s.failure(err, "artifact %s: cannot be unpacked", a.Name)
	}
	return result, nil
}

// linkSingle gives the stored bytes a second name, under which they run.
func (s *Store) linkSingle(a abt2.Artifact, to string) error {
	if err := os.Link(s.blob(a.Digest), to); err != nil {
		return err
	}
	if a.Format == abt2.FormatJar {
		return nil
	}
	return os.Chmod(to, 0o500)
}

func (s *Store) unpack(ctx context.Context, a abt2.Artifact, dir string) error {
	f, err := s.open(a)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := entriesOf(ctx, a, f)
	if err != nil {
		return err
	}
	return unpackTo(dir, entries, limits{bytes: s.MaxUnpacked, files: s.MaxFiles}, a.Name)
}

// fileName makes a file's name of what a person called the artifact.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._+-", r):
			return r
		}
		return '_'
	}, filepath.Base(name))
	name = strings.TrimLeft(name, ".-") // neither hidden nor an option
	if len(name) > 100 {
		name = name[len(name)-100:] // the ending says what it is
	}
	if name == "" {
		return "artifact"
	}
	return name
}

// ModuleYAML returns the module.yaml at the root of the artifact, nil if there
// is none. An archive is unpacked for it, and so checked as a whole.
func (s *Store) ModuleYAML(ctx context.Context, a abt2.Artifact) ([]byte, error) {
	var folder fs.FS
	switch a.Format {
	case abt2.FormatExecutable:
		return nil, s.checkStored(a)
	case abt2.FormatJar:
		f, err := s.open(a)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if folder, err = openZip(a, f); err != nil {
			return nil, err
		}
	default:
		path, err := s.Unpacked(ctx, a)
		if err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, s.failure(err, "artifact %s: cannot be read", a.Name)
		}
		defer root.Close()
		folder = root.FS()
	}
	f, err := folder.Open(ModuleFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "artifact %s: %s cannot be read; it must be a file", a.Name, ModuleFile)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxModuleFile+1)) // DecodeModule tells that it is too large
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "artifact %s: %s cannot be read; it must be a file", a.Name, ModuleFile)
	}
	return b, nil
}
