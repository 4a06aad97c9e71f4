package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"abt2.dev"
)

// holds counts who needs what is here to stay. Removing takes the lock for each
// artifact, so that none is removed once Hold has returned.
type holds struct {
	mu    sync.Mutex
	count int
}

// Hold keeps Remove from removing anything until release is called; what is
// left over then goes at the next Remove. It waits for no removal but that of
// one artifact.
func (s *Store) Hold() (release func()) {
	s.holds.mu.Lock()
	defer s.holds.mu.Unlock()
	s.holds.count++
	return sync.OnceFunc(func() {
		s.holds.mu.Lock()
		defer s.holds.mu.Unlock()
		s.holds.count--
	})
}

// discardUnheld is discard, unless somebody holds what is here.
func (s *Store) discardUnheld(path string) (freed int64, held bool, err error) {
	s.holds.mu.Lock()
	defer s.holds.mu.Unlock()
	if s.holds.count > 0 {
		return 0, true, nil
	}
	freed, err = s.discard(path)
	return freed, false, err
}

// Size returns how many bytes the artifact with this sha256 has. It returns
// CodeNotFound for one that is not here.
func (s *Store) Size(digest string) (int64, error) {
	info, err := os.Lstat(s.blob(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, abt2.Errorf(abt2.CodeNotFound, "artifact %.12s is not here", digest)
	}
	if err != nil {
		return 0, s.failure(err, "artifact %.12s cannot be read", digest)
	}
	return info.Size(), nil
}

// Open opens the artifact with this sha256, as it was uploaded.
func (s *Store) Open(digest string) (*os.File, error) {
	return s.open(abt2.Artifact{Digest: digest, Name: digest[:min(12, len(digest))]})
}

// Intact reports whether the artifact with this sha256 is here and is what its
// sha256 says.
func (s *Store) Intact(ctx context.Context, digest string) bool {
	f, err := s.Open(digest)
	if err != nil {
		return false
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, &ctxReader{ctx, f})
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == digest
}

// Adopt takes over every artifact of another store on the same disk, which must
// not be in use, and leaves it without them. One that is here too is replaced.
func (s *Store) Adopt(ctx context.Context, from *Store) error {
	entries, err := os.ReadDir(from.blobs())
	if err != nil {
		return from.failure(err, "artifacts cannot be listed")
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := os.Rename(from.blob(e.Name()), s.blob(e.Name())); err != nil {
			return s.failure(err, "artifact %.12s cannot be moved to %s", e.Name(), s.Dir)
		}
	}
	if err := syncFolder(s.blobs()); err != nil {
		return s.failure(err, "the disk does not take the artifacts")
	}
	return nil
}
