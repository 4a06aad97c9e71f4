package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// find makes an instance of its folder; nil: there never was one. A record that
// was lost or edited by hand is put right: by the shim that keeps the instance,
// where one lives, so that what serves goes on serving; else the instance is to
// end, and the next apply replaces it.
func (p *Platform) find(id abt2.InstanceID, v abt2.VersionID, seq uint64) (*instance, error) {
	dir := filepath.Join(p.cfg.Dir, instancesDir, string(id))
	spec, bad := shimpb.ReadSpec(dir)
	if bad == nil && spec.GetInstance() != string(id) {
		bad = errors.New("it is the record of " + spec.GetInstance())
	}
	pid, alive, err := shimpb.Keeper(dir)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "%s: its lock cannot be read", id)
	}
	if !alive {
		return p.findUnkept(id, v, seq, dir, spec, bad)
	}
	i := newInstance(id, v, seq, dir, &shimpb.Spec{Socket: p.socket(seq)})
	d, err := i.describe(context.Background()) // bounded by patience
	follows := d.GetSpec()
	if err != nil || follows == nil { // it hangs, or is of a build that does not tell
		if bad != nil {
			return nil, abt2.Wrap(abt2.CodeFailed, bad, "%s: its record %s cannot be read, and its shim, process %d, does not tell what was in it (%v); restore the file, or end the shim (kill %d)",
				id, filepath.Join(dir, shimpb.SpecFile), pid, err, pid)
		}
		return newInstance(id, v, seq, dir, spec), nil
	}
	right := proto.CloneOf(follows)
	right.Ended = bad == nil && spec.GetEnded() // decided after the shim had started
	i = newInstance(id, v, seq, dir, right)
	if bad == nil && proto.Equal(right, spec) {
		return i, nil
	}
	p.log.Warn("the record of an instance was lost or edited; it is restored from what its shim follows", "instance", id, "error", bad)
	return i, i.decide(right)
}

// findUnkept finds an instance whose shim has ended.
func (p *Platform) findUnkept(id abt2.InstanceID, v abt2.VersionID, seq uint64, dir string, spec *shimpb.Spec, bad error) (*instance, error) {
	if bad == nil {
		return newInstance(id, v, seq, dir, spec), nil
	}
	if _, err := shimpb.ReadIdentity(dir); errors.Is(bad, fs.ErrNotExist) && errors.Is(err, fs.ErrNotExist) {
		// The server was killed before it had decided what to start here.
		if err := os.RemoveAll(dir); err != nil {
			return nil, abt2.Wrap(abt2.CodeFailed, err, "the remains of %s cannot be removed", id)
		}
		return nil, nil
	}
	p.log.Warn("the record of an instance was lost or edited, and nobody keeps it; it will be replaced", "instance", id, "error", bad)
	i := newInstance(id, v, seq, dir, nil)
	return i, i.decide(&shimpb.Spec{
		Protocol: shimpb.Protocol, Instance: string(id), Module: string(v.Module), Version: v.String(), Socket: p.socket(seq), Ended: true,
	})
}
