package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"time"

	"abt2.dev"
	"abt2.dev/internal/artifact"
	"abt2.dev/internal/backup"
	"abt2.dev/internal/store"
)

// backups writes what a server keeps as one file. Credentials are not in it:
// whoever restores it elsewhere gets new ones. The tokens of sessions are.
type backups struct {
	state        *store.Store
	artifacts    *artifact.Store
	version      string
	installation string
}

// write writes a backup of the state as it is now, and of the builds that it
// names and that are here. Nothing waits for it, but what clean has to remove
// stays until the next one.
func (b *backups) write(ctx context.Context, w io.Writer) error {
	// From before the state is read, so that all it keeps is still here.
	release := b.artifacts.Hold()
	defer release()
	var records bytes.Buffer // before the first byte goes out, for its size and sum; builds are what is large
	state, revision, err := b.state.Dump(ctx, &records)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(records.Bytes())
	m := backup.Manifest{
		Abt2: b.version, Installation: b.installation, Epoch: state.Epoch, Revision: revision, Created: time.Now().UTC().Truncate(time.Second),
		Parts: []backup.Part{{Name: backup.StateName, Size: int64(records.Len()), SHA256: hex.EncodeToString(sum[:])}},
	}
	builds := map[string]bool{}
	for _, v := range state.Versions {
		builds[v.Artifact.Digest] = true
	}
	for _, digest := range slices.Sorted(maps.Keys(builds)) {
		size, err := b.artifacts.Size(digest)
		if abt2.CodeOf(err) == abt2.CodeNotFound {
			continue // of an old release
		}
		if err != nil {
			return err
		}
		m.Parts = append(m.Parts, backup.ArtifactPart(digest, size))
	}
	return backup.Write(ctx, w, m, func(p backup.Part) (io.ReadCloser, error) {
		if digest := p.Artifact(); digest != "" {
			return b.artifacts.Open(digest)
		}
		return io.NopCloser(&records), nil
	})
}

// program is how a version of abt2 is written where it is not known.
func program(version string) string { return cmp.Or(version, "devel") }
