// Package artifact keeps uploaded builds on the local disk by their content,
// and unpacks them for running.
//
//	blobs/DIGEST           what was uploaded, byte for byte
//	ready/DIGEST.KIND…     what runs: an unpacked folder, or a folder with one file; read-only
//	tmp/                   work in progress; emptied by Open
//
// Whatever stands in blobs or ready is whole and on disk: it came there by renaming.
package artifact

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"abt2.dev"
)

// Config says where artifacts lie and how large they may be. Zero limits stand
// for the defaults.
type Config struct {
	Dir         string // made if absent; one process at a time
	MaxSize     int64  // bytes of one upload; 2 GiB
	MaxUnpacked int64  // bytes of one unpacked archive; 8 GiB
	MaxFiles    int    // entries of one archive; 200,000
}

// Store keeps artifacts. Its methods may be called from several goroutines.
type Store struct {
	Config
	holds holds
}

// Open makes the folder ready and removes what a crash left half done.
func Open(c Config) (*Store, error) {
	s := &Store{Config: c}
	s.MaxSize = cmp.Or(c.MaxSize, 2<<30)
	s.MaxUnpacked = cmp.Or(c.MaxUnpacked, 8<<30)
	s.MaxFiles = cmp.Or(c.MaxFiles, 200_000)
	if err := removeAll(s.tmp()); err != nil {
		return nil, s.failure(err, "artifact folder %s: remains of an interrupted upload cannot be removed", s.Dir)
	}
	for _, dir := range []string{s.tmp(), s.blobs(), filepath.Join(s.Dir, "ready")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, s.failure(err, "artifact folder %s: cannot be made", s.Dir)
		}
	}
	return s, nil
}

func (s *Store) tmp() string               { return filepath.Join(s.Dir, "tmp") }
func (s *Store) blobs() string             { return filepath.Join(s.Dir, "blobs") }
func (s *Store) blob(digest string) string { return filepath.Join(s.blobs(), digest) }

var digestRule = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Has reports whether the artifact with this sha256 is here.
func (s *Store) Has(digest string) bool {
	if !digestRule.MatchString(digest) {
		return false
	}
	_, err := os.Lstat(s.blob(digest))
	return err == nil
}

// Put stores an artifact's bytes, which must have the stated digest, size and
// format. Nothing is kept on an error. Storing what is here already succeeds
// without reading body.
func (s *Store) Put(ctx context.Context, a abt2.Artifact, body io.Reader) error {
	if err := s.check(a); err != nil {
		return err
	}
	if s.Has(a.Digest) {
		return s.checkStored(a)
	}
	f, err := os.CreateTemp(s.tmp(), "put-")
	if err != nil {
		return s.failure(err, "%s: nothing was stored", a.Name)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name()) // gone already where it succeeded
	}()
	if err := s.receive(ctx, a, f, body); err != nil {
		return err
	}
	err = f.Chmod(0o400)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), s.blob(a.Digest))
	}
	if err == nil {
		err = syncFolder(s.blobs())
	}
	if err != nil {
		return s.failure(err, "%s: nothing was stored", a.Name)
	}
	return nil
}

func (s *Store) check(a abt2.Artifact) error {
	switch {
	case !digestRule.MatchString(a.Digest):
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: digest %q: must be a sha256 of 64 hexadecimal digits", a.Name, a.Digest)
	case a.Size <= 0:
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: is empty; build it again", a.Name)
	case a.Size > s.MaxSize:
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: has %d bytes, at most %d are taken; make it smaller", a.Name, a.Size, s.MaxSize)
	}
	return nil
}

// receive copies body to f and checks that it is what a says.
func (s *Store) receive(ctx context.Context, a abt2.Artifact, f *os.File, body io.Reader) error {
	hash := sha256.New()
	to := &diskWriter{w: io.MultiWriter(f, hash)}
	n, err := io.Copy(to, io.LimitReader(&ctxReader{ctx, body}, a.Size+1))
	switch {
	case to.err != nil:
		return s.failure(to.err, "%s: nothing was stored", a.Name)
	case err != nil:
		return abt2.Wrap(abt2.CodeUnavailable, err, "%s: the upload broke off after %d of %d bytes and nothing was stored; repeat it", a.Name, n, a.Size)
	case n != a.Size:
		return abt2.Errorf(abt2.CodeInvalid, "%s: the upload does not have the stated %d bytes; it was changed meanwhile, or is damaged: repeat", a.Name, a.Size)
	case hex.EncodeToString(hash.Sum(nil)) != a.Digest:
		return abt2.Errorf(abt2.CodeInvalid, "%s: the upload does not have the stated sha256 %s; it was changed meanwhile, or is damaged: repeat", a.Name, a.Digest)
	}
	return checkFormat(a, f)
}

// checkStored checks that what is here under the digest fits what a says of it.
func (s *Store) checkStored(a abt2.Artifact) error {
	f, err := s.open(a)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return s.failure(err, "%s: cannot be read", a.Name)
	} else if info.Size() != a.Size {
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: size %d: the artifact with this sha256 has %d bytes", a.Name, a.Size, info.Size())
	}
	return checkFormat(a, f)
}

func (s *Store) open(a abt2.Artifact) (*os.File, error) {
	f, err := os.Open(s.blob(a.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, abt2.Errorf(abt2.CodeNotFound, "artifact %s (sha256 %s): is not here; put it again: abt2 config put --path=%s", a.Name, a.Digest, a.Name)
	}
	if err != nil {
		return nil, s.failure(err, "artifact %s: cannot be read", a.Name)
	}
	return f, nil
}

// Remove deletes all artifacts but those whose digest is in keep, and tells how
// many and how many bytes of disk that gave free. It must not run while an
// artifact that was found here is not yet named by what keep is derived from.
// While a Hold is in force it removes nothing, which is no error.
func (s *Store) Remove(ctx context.Context, keep map[string]bool) (removed int, freed int64, err error) {
	for _, place := range []string{"ready", "blobs"} { // a blob last, so that it is counted once its folder is gone
		entries, err := os.ReadDir(filepath.Join(s.Dir, place))
		if err != nil {
			return removed, freed, s.failure(err, "artifacts cannot be listed")
		}
		for _, e := range entries {
			if len(e.Name()) < 64 || keep[e.Name()[:64]] {
				continue
			}
			if ctx.Err() != nil {
				return removed, freed, abt2.Wrap(abt2.CodeUnavailable, context.Cause(ctx), "not all artifacts were removed; the next clean does it")
			}
			n, held, err := s.discardUnheld(filepath.Join(s.Dir, place, e.Name()))
			if held {
				return removed, freed, nil
			}
			freed += n
			if err != nil {
				return removed, freed, s.failure(err, "artifact %s cannot be removed", e.Name())
			}
			if place == "blobs" {
				removed++
			}
		}
	}
	return removed, freed, nil
}

// discard takes a name away at once, then deletes what was there.
func (s *Store) discard(path string) (freed int64, err error) {
	freed = diskUsage(path)
	grave, err := os.MkdirTemp(s.tmp(), "remove-")
	if err != nil {
		return 0, err
	}
	// A folder must be writable to be moved.
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		_ = os.Chmod(path, 0o700)
	}
	if err := os.Rename(path, filepath.Join(grave, "gone")); err != nil {
		_ = os.Remove(grave)
		if errors.Is(err, fs.ErrNotExist) { // another Remove was here first
			err = nil
		}
		return 0, err
	}
	return freed, removeAll(grave)
}

// failure turns the disk's error into one that a person can act on.
func (s *Store) failure(err error, format string, args ...any) error {
	var known *abt2.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return abt2.Wrap(abt2.CodeFailed, err, format+": the disk of %s is full; free some space and repeat", append(args, s.Dir)...)
	}
	return abt2.Wrap(abt2.CodeFailed, err, format, args...)
}
