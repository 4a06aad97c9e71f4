package cli

import (
	"net"
	"net/netip"
	"path"
	"strings"

	"abt2.dev"
)

// registrySettings checks the settings about who finds instances where, and what
// they need of a ZooKeeper.
func (a *app) registrySettings(got map[string]setting, c *ServerConfig) error {
	registry, prefix, advertise := got["registry"], got["navi-prefix"], got["advertise"]
	c.Registry, c.NaviPrefix, c.Advertise = registry.value, prefix.value, advertise.value
	var neededBy []setting
	switch {
	case c.Registry == "navi":
		neededBy = append(neededBy, registry)
	case c.Registry != "builtin":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be builtin or navi", registry.name, c.Registry)
	case c.NaviPrefix != "":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --registry=navi alone; remove it", prefix.name, c.NaviPrefix)
	}
	if p := c.NaviPrefix; p != "" && (!path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsRune(p, 0)) {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a clean path below /, like /navi_rpc", prefix.name, p)
	}
	var err error
	if c.ZooKeeper, err = a.zooKeeperSettings(got, neededBy...); err != nil {
		return err
	}
	ip, err := netip.ParseAddr(c.Advertise)
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be an IP address of this machine, like 10.0.0.5", advertise.name, c.Advertise)
	}
	for _, server := range c.ZooKeeper.Addresses {
		if host, _, _ := net.SplitHostPort(server); c.Registry == "navi" && ip.IsLoopback() && !isLoopback(host) {
			return abt2.Errorf(abt2.CodeInvalid, "%s %q: is this machine's own, but who reads from the ZooKeeper %s may be on another; name an address they reach: --advertise=IP", advertise.name, c.Advertise, server)
		}
	}
	return nil
}
