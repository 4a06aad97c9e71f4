package process

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// keptLogs is of how many ended instances of one module the logs are kept.
const keptLogs = 50

// tidy removes from ended instances' folders all but the logs (the spec holds
// a credential), and the folders of the oldest.
func (p *Platform) tidy() error {
	root := filepath.Join(p.cfg.Dir, endedDir)
	entries, err := os.ReadDir(root)
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the ended instances cannot be listed")
	}
	modules := map[abt2.ModuleName][]uint64{}
	folders := map[uint64]string{}
	var errs []error
	for _, e := range entries {
		v, seq, ok := parseID(abt2.InstanceID(e.Name()))
		if !ok {
			continue
		}
		dir := filepath.Join(root, e.Name())
		modules[v.Module] = append(modules[v.Module], seq)
		folders[seq] = dir
		files, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, f := range files {
			if f.Name() != shimpb.LogsDir && f.Name() != shimpb.ShimLog {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, f.Name())))
			}
		}
	}
	for _, seqs := range modules {
		slices.Sort(seqs)
		for _, seq := range seqs[:max(len(seqs)-keptLogs, 0)] {
			errs = append(errs, os.RemoveAll(folders[seq]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the folders of ended instances cannot be tidied")
	}
	return nil
}

// Recorded returns the instances in a platform's folder, ended ones left out,
// sorted by id. It changes nothing and asks nobody.
func Recorded(dir string) ([]abt2.InstanceID, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p, err := open(Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	var ids []abt2.InstanceID
	for _, i := range p.all() {
		ids = append(ids, i.id)
	}
	return ids, nil
}

// RecordedVersions returns the versions that the instances in a platform's
// folder are of, ended ones left out. It changes nothing and asks nobody.
func RecordedVersions(dir string) ([]abt2.VersionID, error) {
	entries, err := os.ReadDir(filepath.Join(dir, instancesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the instances cannot be listed")
	}
	var out []abt2.VersionID
	for _, e := range entries {
		if v, _, ok := parseID(abt2.InstanceID(e.Name())); ok {
			out = append(out, v)
		}
	}
	return out, nil
}

// StopAll ends every instance in a platform's folder, for when there is no
// server to ask; the caller makes sure of that. It returns those that are
// proved ended, sorted by id, and an error naming the others. A folder that
// does not exist has none.
func StopAll(ctx context.Context, dir string, log *slog.Logger) (ended []abt2.InstanceID, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p, err := open(Config{Dir: dir, Log: log})
	if err != nil {
		return nil, err
	}
	all := p.all()
	errs := make([]error, len(all))
	var work []func() error
	for n, i := range all {
		work = append(work, func() error {
			errs[n] = p.end(ctx, i)
			return nil
		})
	}
	_ = each(work) // each keeps its own
	for n, i := range all {
		if errs[n] == nil {
			ended = append(ended, i.id)
		}
	}
	return ended, cause(ctx, errors.Join(errs...))
}
