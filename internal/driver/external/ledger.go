package external

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"abt2.dev"
)

const ledgerFile = "external.json"

// ledger is what outlives the platform.
type ledger struct {
	Last     uint64         `json:"last_instance"` // highest number given so far
	Versions []knownVersion `json:"versions"`
}

type knownVersion struct {
	ID        abt2.VersionID  `json:"id"`
	Config    abt2.Config     `json:"config"`
	Instances []knownInstance `json:"instances"`
}

type knownInstance struct {
	Seq     uint64 `json:"seq"`
	Address string `json:"address"`
}

func readLedger(path string) (ledger, error) {
	var l ledger
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err != nil {
		return l, abt2.Wrap(abt2.CodeFailed, err, "%s cannot be read; restore it", path)
	}
	return l, nil
}

// save writes what must outlive the platform. The caller holds p.mu.
func (p *Platform) save() error {
	l := ledger{Last: p.last}
	for _, v := range p.versions {
		k := knownVersion{ID: v.id, Config: v.config}
		for _, i := range v.instances {
			k.Instances = append(k.Instances, knownInstance{i.seq, i.Address})
		}
		l.Versions = append(l.Versions, k)
	}
	slices.SortFunc(l.Versions, func(a, b knownVersion) int { return compareVersions(a.ID, b.ID) })
	path := filepath.Join(p.cfg.Dir, ledgerFile)
	b, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = writeWhole(path, append(b, '\n'))
	}
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s cannot be written", path)
	}
	return nil
}

// writeWhole replaces a file: after a crash it is the old or the new one.
func writeWhole(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
