package server

import (
	"context"
	"os"
	"path/filepath"

	"abt2.dev"
	"abt2.dev/internal/driver/process"
	"abt2.dev/internal/store"
)

// leap is how many numbers are left out where it cannot be known which have
// been given since the backup. More releases than this are not made in between.
const leap = 1000

// readGiven finds out which numbers the folder has given, from its state and
// from what runs. A state that cannot be read, which may be why it is restored,
// is made up for by a leap.
func (r *restore) readGiven(ctx context.Context) error {
	lock, err := store.Lock(r.DataDir) // a server that works on it is an error of its own
	if err != nil {
		return err
	}
	if err := lock.Close(); err != nil {
		return err
	}
	r.given.Versions = map[abt2.ModuleName]uint64{}
	if r.old, err = r.oldState(ctx); err != nil {
		r.Log.Warn("the state that is to be replaced cannot be read; numbers leap ahead, so that none is given twice", "data", r.DataDir, "error", err)
	} else {
		r.given = r.old.Given()
	}
	versions, err := process.RecordedVersions(platformDir(r.DataDir))
	if err != nil {
		return err
	}
	for _, v := range versions {
		r.given.Versions[v.Module] = max(r.given.Versions[v.Module], v.Number)
	}
	return nil
}

func (r *restore) oldState(ctx context.Context) (*abt2.State, error) {
	if _, err := os.Stat(filepath.Join(r.DataDir, "etcd", "member")); err != nil { // opening it would make a new one
		return nil, err
	}
	s, err := store.Open(ctx, store.Config{Dir: r.DataDir, Log: r.Log})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.State(ctx)
}
