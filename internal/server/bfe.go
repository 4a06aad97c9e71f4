package server

import (
	"slices"
	"strconv"

	"abt2.dev"
	"abt2.dev/internal/driver/bfe"
	"abt2.dev/internal/release"
)

// newBFEs prepares the drivers of a configuration, one for each folder. pages is
// the built-in edge's address.
func newBFEs(c Config, pages string) ([]*bfe.Edge, error) {
	var out []*bfe.Edge
	for _, dir := range c.BFEFolders {
		b, err := bfe.New(bfe.Config{Dir: dir, Pages: pages, WebSockets: c.BFEWebSockets, Log: c.Log})
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// bfeURL is the base of links: of the first BFE, unless users type another.
func bfeURL(c Config) (string, error) {
	c.BFEWebSockets = false // nobody is behind it yet
	all, err := newBFEs(c, "")
	if err != nil || c.EdgeURL != "" {
		return c.EdgeURL, err
	}
	return "http://" + all[0].Address(), nil
}

// prepareBFEs returns the BFEs as edges, and where they listen. They are somebody
// else's processes: one that does not run yet finds the files to start with, and
// a commit waits for it. What they lack is said.
func prepareBFEs(c Config, url, pages string) (targets []release.EdgeTarget, listens []string, err error) {
	all, err := newBFEs(c, pages)
	if err != nil {
		return nil, nil, err
	}
	for i, b := range all {
		if err := b.Prepare(); err != nil {
			return nil, nil, err
		}
		address := url
		if i > 0 {
			address = "http://" + b.Address()
		}
		targets = append(targets, release.EdgeTarget{ID: "bfe-" + strconv.Itoa(i+1), Edge: b, Address: address})
		listens = append(listens, b.Address())
	}
	for _, l := range all[0].Limits() {
		c.Log.Warn("what BFE lacks", "limit", l)
	}
	return targets, listens, nil
}

func (c *Config) checkBFE() error {
	switch {
	case c.Edge != EdgeBFE && (len(c.BFEFolders) > 0 || c.BFEWebSockets):
		return abt2.Errorf(abt2.CodeInvalid, "--bfe-conf and --bfe-websockets: are for --edge=%s alone; remove them", EdgeBFE)
	case c.Edge == EdgeBFE && (len(c.BFEFolders) == 0 || slices.Contains(c.BFEFolders, "")):
		return abt2.Errorf(abt2.CodeInvalid, "--bfe-conf: must name BFE's configuration folder, that with bfe.conf; several are separated by commas")
	}
	return nil
}
