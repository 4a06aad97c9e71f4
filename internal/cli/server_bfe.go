package cli

import (
	"strings"

	"abt2.dev"
)

// readBFE reads which instances of BFE there are.
func (c *ServerConfig) readBFE(got map[string]setting) (err error) {
	conf := got["bfe-conf"]
	switch {
	case c.Edge != "bfe" && conf.value != "":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --edge=bfe alone; remove it", conf.name, conf.value)
	case c.Edge != "bfe":
		return nil
	}
	for dir := range strings.SplitSeq(conf.value, ",") {
		if dir = strings.TrimSpace(dir); dir == "" {
			return abt2.Errorf(abt2.CodeInvalid, "%s %q: must name BFE's configuration folder, that with bfe.conf, like /etc/bfe; several are separated by commas", conf.name, conf.value)
		}
		if dir, err = absolute(dir); err != nil {
			return err
		}
		c.BFEConf = append(c.BFEConf, dir)
	}
	return nil
}

// checkBFE refuses settings of an edge that BFE has in files of its own.
func (c *ServerConfig) checkBFE(got map[string]setting) error {
	if c.Edge != "bfe" {
		if c.BFEWebSockets {
			return abt2.Errorf(abt2.CodeInvalid, "%s true: is for --edge=bfe alone; remove it", got["bfe-websockets"].name)
		}
		return nil
	}
	for _, f := range serverFields {
		switch f.flag {
		case "edge-listen", "edge-cert", "edge-key", "edge-start", "access-log":
			if s := got[f.flag]; s.value != f.byDefault {
				return abt2.Errorf(abt2.CodeInvalid, "%s %s: is not for --edge=bfe; BFE is yours to run, and its ports, certificates and log are what bfe.conf says", s.name, s.value)
			}
		}
	}
	return nil
}
