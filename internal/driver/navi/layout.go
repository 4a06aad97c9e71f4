package navi

import (
	"net/url"
	"path"
	"strconv"

	"abt2.dev"
)

// admin is where the driver keeps its own nodes, below the prefix.
const admin = ".abt2"

func (c Config) ownerPath() string   { return path.Join(c.Prefix, admin, "owner") }
func (c Config) holdersPath() string { return path.Join(c.Prefix, admin, "holders") }
func (c Config) keptPath() string    { return path.Join(c.Prefix, admin, "kept") }

func (c Config) holderPath(id abt2.InstanceID) string { return path.Join(c.holdersPath(), string(id)) }

// keptNote is where it is written down that we have put a persistent leaf.
func (c Config) keptNote(leaf string) string { return path.Join(c.keptPath(), url.PathEscape(leaf)) }

// unversioned is a service's place for callers that know nothing of versions.
func (c Config) unversioned(n abt2.ServiceName) string {
	return path.Join(c.Prefix, n.Namespace, n.Interface)
}

// place is where a listing stands.
func (c Config) place(l abt2.Listing) string {
	if l.Unversioned {
		return c.unversioned(l.Name)
	}
	return path.Join(c.Prefix, l.Name.Namespace, strconv.FormatUint(l.Version.Number, 10), l.Name.Interface)
}

// checkPrefix says what is wrong with a prefix that a person has given.
func checkPrefix(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
		return abt2.Errorf(abt2.CodeInvalid, "--navi-prefix %q: must be a clean path below /, like %s", p, DefaultPrefix)
	}
	return nil
}
