package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"abt2.dev"
	"abt2.dev/internal/artifact"
	"abt2.dev/internal/backup"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/internal/store"
)

// RestoreConfig says what is to be restored where. From and DataDir are required.
type RestoreConfig struct {
	From     io.Reader // the backup
	Name     string    // of From, for messages
	DataDir  string
	Force    bool   // the folder may hold something
	Operator string // a name for people, for history
	Version  string
	Log      *slog.Logger
}

// Restored tells what a restore has done.
type Restored struct {
	DataDir   string    `json:"data"`
	Created   time.Time `json:"created"` // of the backup
	Abt2      string    `json:"abt2"`    // that wrote it
	Epoch     string    `json:"epoch"`   // the new one
	Modules   int       `json:"modules"`
	Artifacts int       `json:"artifacts"`
	// Aside is the folder that what was there before has been moved to; empty: nothing was.
	Aside string `json:"aside,omitempty"`
	// Kept says that the folder's credentials, instances and edge are those from
	// before; what runs of them goes on, and the next server finds it again.
	Kept bool `json:"kept"`
}

// Restore makes a data folder of a backup, under a new epoch. The whole backup
// is checked before anything of the folder is touched: until then an error
// leaves the folder as it was.
//
// A folder of the same installation keeps its credentials, instances and edge,
// and gets the state and the builds that it lacks; its numbers go on, so that
// nothing which runs is mistaken for something new. One of another installation
// is moved aside whole, and refused while anything of it runs.
func Restore(ctx context.Context, c RestoreConfig) (done Restored, err error) {
	r := &restore{RestoreConfig: c, own: program(c.Version)}
	if r.DataDir, err = dataFolder(c.DataDir); err != nil {
		return done, err
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	if err := backup.Read(ctx, c.From, r.own, func(m backup.Manifest) error { return r.begin(ctx, m) }, func(p backup.Part, content io.Reader) error { return r.take(ctx, p, content) }); err != nil {
		return done, r.named(err)
	}
	err = r.install(ctx)
	return r.done, err
}

// dataFolder makes the path of a data folder absolute and checks it.
func dataFolder(dir string) (string, error) {
	c := Config{DataDir: dir, AllowRoot: true}
	err := c.check()
	return c.DataDir, err
}

// restore is one restore at work.
type restore struct {
	RestoreConfig
	own  string // version of this program
	done Restored

	found format      // what the folder is; zero: nothing says
	there []string    // what is in it
	left  []string    // by restores that were cut off
	old   *abt2.State // that was in it; nil: none that can be read
	given abt2.Given  // by what was in it

	work   string          // a folder in the data folder, for what is not yet checked
	state  *abt2.State     // as restored
	fresh  *artifact.Store // builds of the backup
	before *artifact.Store // builds of the folder; nil: none that count
}

const workPrefix = ".restore-"

// enter takes the folder, making it where it is absent. The function it returns
// leaves it again, without what this restore has made and not put in place.
func (r *restore) enter(ctx context.Context) (leave func() error, err error) {
	made := false
	if _, err := os.Lstat(r.DataDir); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(r.DataDir, 0o700); err != nil {
			return nil, abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be made; choose another with --data", r.DataDir)
		}
		made = true
	}
	if err := r.look(); err != nil {
		return nil, err
	}
	if len(r.there) > 0 {
		if err := r.readGiven(ctx); err != nil {
			return nil, err
		}
	}
	_, err = os.Lstat(filepath.Join(r.DataDir, "lock"))
	locked := err == nil
	lock, err := store.Lock(r.DataDir)
	if err != nil {
		return nil, err
	}
	leave = func() error {
		err := os.RemoveAll(r.work)
		if !locked && len(r.there) == 0 && r.done.Epoch == "" {
			err = errors.Join(err, os.Remove(filepath.Join(r.DataDir, "lock")))
		}
		if made && r.done.Epoch == "" {
			err = errors.Join(err, os.Remove(r.DataDir))
		}
		return errors.Join(err, lock.Close())
	}
	for _, name := range r.left {
		_ = os.RemoveAll(filepath.Join(r.DataDir, name)) // in the way of nobody if it stays
	}
	if r.work, err = os.MkdirTemp(r.DataDir, workPrefix); err != nil {
		return nil, errors.Join(r.full(err), leave())
	}
	return leave, nil
}

// look finds out what is in the folder, what an earlier restore has left apart.
func (r *restore) look() error {
	var err error
	if r.found, err = readFormat(r.DataDir, r.own); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.DataDir)
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be read; make it readable for its owner, or choose another with --data", r.DataDir)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workPrefix) {
			r.left = append(r.left, e.Name())
		} else if e.Name() != "lock" {
			r.there = append(r.there, e.Name())
		}
	}
	if len(r.there) > 0 && !r.Force {
		return abt2.Errorf(abt2.CodeRefused, "data folder %s: is not empty; name another with --data, or say --force: what it holds is then moved aside, and what runs goes on", r.DataDir)
	}
	return nil
}

// begin decides, by whose the backup is, what of the folder stays.
func (r *restore) begin(ctx context.Context, m backup.Manifest) error {
	r.done = Restored{DataDir: r.DataDir, Created: m.Created, Abt2: m.Abt2, Artifacts: len(m.Parts) - 1}
	r.done.Kept = len(r.there) > 0 && r.found.Installation != "" && r.found.Installation == m.Installation
	if len(r.there) > 0 && !r.done.Kept {
		c := Config{DataDir: r.DataDir}
		parts, err := running(ctx, c, edgectl.NewClient(c.edgeDir()))
		if err != nil {
			return err
		}
		if len(parts) > 0 {
			return abt2.Errorf(abt2.CodeRefused, "is the backup of another installation than data folder %s, of which %s still runs and would be mistaken for its own; stop it first: abt2 down --data=%s; or choose another folder", r.DataDir, strings.Join(parts, ", "), r.DataDir)
		}
	}
	var err error
	if r.fresh, err = artifact.Open(artifact.Config{Dir: filepath.Join(r.work, "artifacts")}); err != nil {
		return err
	}
	if r.done.Kept {
		r.before, err = artifact.Open(artifact.Config{Dir: Config{DataDir: r.DataDir}.artifactsDir()})
	}
	return err
}

// take checks a part and keeps it for install.
func (r *restore) take(ctx context.Context, p backup.Part, content io.Reader) error {
	if p.Artifact() == "" {
		var err error
		r.state, err = store.Restore(ctx, store.Config{Dir: r.work, Log: r.Log}, content, r.adapt)
		return r.full(err)
	}
	if r.before != nil && r.before.Intact(ctx, p.Artifact()) {
		return nil
	}
	for _, v := range r.state.Versions {
		if v.Artifact.Digest == p.Artifact() {
			return r.fresh.Put(ctx, v.Artifact, content)
		}
	}
	return nil // nobody needs it
}

// adapt makes the state of the backup that of this folder.
func (r *restore) adapt(s *abt2.State) error {
	switch {
	case !r.done.Kept:
		r.given = abt2.Given{}
	case r.old == nil:
		r.given.Environment, r.given.Session = s.LastEnvironment+leap, s.LastSession+leap
	default:
		s.TakeLeave(r.old)
	}
	a := abt2.Actor{Operator: r.Operator, Identity: "local", Now: time.Now()}
	s.Restored(a, r.given, fmt.Sprintf("backup of %s by abt2 %s", r.done.Created.Format(time.RFC3339), r.done.Abt2))
	return nil
}

// install puts what has been checked in place. A restore that is cut off here
// leaves a file that keeps servers away until it is repeated.
func (r *restore) install(ctx context.Context) error {
	aside := fmt.Sprintf("%s.before-%s", r.DataDir, time.Now().UTC().Format("20060102T150405.000Z"))
	unfinished := filepath.Join(r.DataDir, restoreFile)
	if err := writeWhole(unfinished, []byte("moved to "+aside+"\n")); err != nil {
		return r.full(err)
	}
	for i, name := range r.outdated() {
		err := os.MkdirAll(aside, 0o700)
		if err == nil {
			err = os.Rename(filepath.Join(r.DataDir, name), filepath.Join(aside, name))
		}
		if err != nil {
			if i == 0 { // nothing has changed
				_ = os.Remove(aside)
				_ = os.Remove(unfinished)
			}
			return abt2.Wrap(abt2.CodeFailed, err, "%s cannot be moved to %s; make the folder above the data folder writable, on the same disk, or restore to another folder", filepath.Join(r.DataDir, name), aside)
		}
		r.done.Aside = aside
	}
	if err := r.place(ctx); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the backup was right but has not been put in place whole, so no server starts on %s; repeat the restore with --force", r.DataDir)
	}
	if err := errors.Join(os.Remove(unfinished), syncFolder(r.DataDir)); err != nil {
		return r.full(err)
	}
	r.done.Epoch, r.done.Modules = r.state.Epoch, len(r.state.Modules)
	return nil
}

// outdated lists what is to be moved aside.
func (r *restore) outdated() []string {
	if !r.done.Kept {
		return slices.DeleteFunc(slices.Clone(r.there), func(name string) bool { return name == restoreFile })
	}
	return slices.DeleteFunc(slices.Clone(r.there), func(name string) bool { return name != "etcd" })
}

func (r *restore) place(ctx context.Context) error {
	artifacts, err := artifact.Open(artifact.Config{Dir: Config{DataDir: r.DataDir}.artifactsDir()})
	if err == nil {
		err = artifacts.Adopt(ctx, r.fresh)
	}
	if err == nil {
		_, err = claimFolder(r.DataDir, r.own)
	}
	if err == nil {
		err = os.Rename(filepath.Join(r.work, "etcd"), filepath.Join(r.DataDir, "etcd"))
	}
	if err == nil {
		err = syncFolder(r.DataDir)
	}
	return err
}

// named says which backup an error is about.
func (r *restore) named(err error) error {
	var e *abt2.Error
	if errors.As(err, &e) {
		return abt2.Wrap(e.Code, e.Cause, "backup %s: %s; nothing was restored", r.Name, e.Message)
	}
	return err
}

// full is an error of the disk, as a person can act on it.
func (r *restore) full(err error) error {
	var known *abt2.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be written; make it writable for its owner and its disk not full, or choose another with --data", r.DataDir)
}

// syncFolder makes the names in a folder survive a power cut.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
