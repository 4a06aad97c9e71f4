package bfe

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"abt2.dev"
)

// Apply implements abt2.Edge. Clusters, and what requests to them are given,
// come before the routes that lead to them, and stay until the change after the
// one that takes the last route away. The routes are swapped at once.
func (e *Edge) Apply(ctx context.Context, r abt2.EdgeRoutes) error {
	p, err := e.compile(r)
	if err != nil {
		return err
	}
	if err := take(ctx, e.applying); err != nil {
		return err
	}
	defer func() { <-e.applying }()
	n, err := e.readNote()
	if err != nil {
		return err
	}
	t, end := e.talk()
	defer end()
	have, err := t.loaded(ctx)
	if err != nil {
		return err // nothing is written for a BFE that is not there
	}
	if n.Trying.isServed(have, n.Served) { // whoever had it loaded did not come to note it
		n.Served = n.Trying
	}
	is, next := n.Served.Routes.Table.Mark, r.Table.Mark
	if is.Epoch == next.Epoch && next.Revision < is.Revision {
		return abt2.Errorf(abt2.CodeRefused, "routes of revision %d are older than %d, which are served", next.Revision, is.Revision)
	}
	var before []*plan
	for _, old := range []record{n.Served, n.Trying} {
		if b, err := e.compile(old.routes()); err == nil && old.Versions != nil {
			before = append(before, b)
		}
	}
	content, called, err := p.render(p.with(before...), n.Probe)
	if err != nil {
		return err
	}
	// The same again is asked for to mend what is not as it should be.
	c := change{talk: t, content: content, called: called, have: have, anew: is == next || n.Served.Versions == nil}
	if n.Trying = recordOf(r, called); !c.nothing() {
		if err := e.writeNote(n, false); err != nil { // it is for our own crash only
			return err
		}
	}
	if err := c.make(ctx); err != nil {
		return err
	}
	if have, err = t.loaded(ctx); err != nil {
		return err
	}
	if d := have.differs(called); d != "" {
		return abt2.Errorf(abt2.CodeFailed, "BFE of %s has loaded something else than it was told: %s; does anybody else reload it?", e.cfg.Dir, d)
	}
	n.Served, n.Trying = n.Trying, record{}
	return e.writeNote(n, true)
}

// change is one change of a BFE.
type change struct {
	talk
	content files
	called  versions
	have    versions // what BFE has loaded
	anew    bool     // load also what BFE says it has
}

// part is what one reload makes BFE load.
type part struct {
	reload string
	files  []string
	one    bool // the reload wants the path of the file, not of its folder
}

// In the order of reloads; files of a part in the order in which they are put
// in place, so that a BFE that starts in between finds no route without a cluster.
var parts = []part{
	{"gslb_data_conf", []string{clusterTable, gslbConf}, false},
	{"mod_header", []string{headerRules}, true},
	{"name_conf", []string{nameConf}, true},
	{"server_data_conf", []string{clusterConf, hostRules, vipRules, routeRules}, false},
}

// due reports whether BFE must load the part. Of those that BFE tells no
// version of, what lies in their place is what it has loaded.
func (c change) due(p part) bool {
	if c.anew {
		return true
	}
	for _, name := range p.files {
		if is, told := c.have[name]; told && is != c.called[name] {
			return true
		}
		if !c.inPlace(name) {
			return true
		}
	}
	return false
}

func (c change) inPlace(name string) bool {
	b, err := os.ReadFile(c.settings.files[name])
	return err == nil && bytes.Equal(b, c.content[name])
}

func (c change) nothing() bool {
	for _, p := range parts {
		if c.due(p) {
			return false
		}
	}
	return true
}

// make lets BFE load each part from a folder beside, and puts it in its place
// when BFE has: what BFE refuses never gets where it would start with it.
func (c change) make(ctx context.Context) error {
	for _, p := range parts {
		if !c.due(p) {
			continue
		}
		if err := c.load(ctx, p); err != nil {
			return err
		}
		for _, name := range p.files {
			if c.inPlace(name) {
				continue
			}
			if err := replace(c.settings.files[name], c.content[name], true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c change) load(ctx context.Context, p part) (err error) {
	fail := func(err error) error {
		return abt2.Wrap(abt2.CodeFailed, err, "BFE folder %s: cannot be written to", c.cfg.Dir)
	}
	dir, err := os.MkdirTemp(c.cfg.Dir, "abt2-next-") // mode 0700
	if err != nil {
		return fail(err)
	}
	defer func() {
		if left := os.RemoveAll(dir); err == nil && left != nil {
			err = fail(left)
		}
	}()
	path := dir
	for _, name := range p.files {
		at := filepath.Join(dir, filepath.Base(c.settings.files[name]))
		if err := os.WriteFile(at, c.content[name], 0o600); err != nil {
			return fail(err)
		}
		if p.one {
			path = at
		}
	}
	return c.reload(ctx, p.reload, path)
}

// Prepare writes the files that BFE needs to start, where one is missing: they
// lead nowhere.
func (e *Edge) Prepare() error {
	p, err := e.compile(abt2.EdgeRoutes{Table: abt2.Table{Products: []abt2.TableProduct{{Name: abt2.DefaultProduct}}}})
	if err != nil {
		return err
	}
	n, err := e.readNote()
	if err != nil {
		return err
	}
	content, _, err := p.render(p.clusters, n.Probe)
	if err != nil {
		return err
	}
	for _, part := range parts {
		for _, name := range part.files {
			if _, err := os.Stat(e.settings.files[name]); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := replace(e.settings.files[name], content[name], true); err != nil {
				return err
			}
		}
	}
	return nil
}
