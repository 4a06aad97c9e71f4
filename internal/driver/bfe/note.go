package bfe

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"abt2.dev"
)

// noteFile lies beside bfe.conf.
const noteFile = "abt2.json"

// note is what we know of a BFE and it does not: which routes the versions that
// it tells stand for.
type note struct {
	Probe  string `json:"probe"`           // the secret that makes BFE tell where a request is led
	Served record `json:"served"`          // confirmed
	Trying record `json:"trying,omitzero"` // may have been loaded by now: a change is or was under way
}

// record is routes and what their files are called.
type record struct {
	Routes   abt2.EdgeRoutes                 `json:"routes"`
	Whole    map[abt2.TokenDigest]abt2.Token `json:"tokens"`
	Versions versions                        `json:"versions,omitempty"` // nil: there is none
}

func recordOf(r abt2.EdgeRoutes, v versions) record { return record{r, r.Whole, v} }

// isServed reports whether the routes that BFE has loaded are those of r. Their
// clusters may be those of another change that did not come to its end.
func (r record) isServed(have versions, other record) bool {
	if r.Versions == nil {
		return false
	}
	for _, name := range []string{hostRules, vipRules, routeRules} {
		if have[name] != r.Versions[name] {
			return false
		}
	}
	for _, name := range []string{clusterConf, clusterTable, gslbConf} {
		if have[name] != r.Versions[name] && have[name] != other.Versions[name] {
			return false
		}
	}
	return true
}

func (r record) routes() abt2.EdgeRoutes {
	out := r.Routes
	out.Whole = r.Whole
	return out
}

// readNote returns a new note where there is none that can be read.
func (e *Edge) readNote() (note, error) {
	var n note
	b, err := os.ReadFile(filepath.Join(e.cfg.Dir, noteFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return n, abt2.Wrap(abt2.CodeFailed, err, "BFE folder %s: %s cannot be read", e.cfg.Dir, noteFile)
	}
	if err != nil || json.Unmarshal(b, &n) != nil || n.Probe == "" {
		n = note{Probe: rand.Text()}
	}
	return n, nil
}

func (e *Edge) writeNote(n note, lasting bool) error {
	b, err := json.Marshal(n)
	if err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "routes cannot be encoded")
	}
	return replace(filepath.Join(e.cfg.Dir, noteFile), b, lasting)
}

// replace puts a file in place at once, for nobody but its owner to read.
// lasting says that it survives a power failure, too.
func replace(path string, content []byte, lasting bool) error {
	fail := func(err error) error {
		return abt2.Wrap(abt2.CodeFailed, err, "BFE's file %s: cannot be written", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".abt2-*") // mode 0600
	if err != nil {
		return fail(err)
	}
	_, err = f.Write(content)
	if lasting && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fail(err)
	}
	return nil
}
