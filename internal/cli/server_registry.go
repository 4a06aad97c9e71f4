package cli

import (
	"net"
	"net/netip"
	"path"
	"strings"

	"abt2.dev"
)

// outsideSettings checks the settings about what is told to those outside of abt2,
// and the ZooKeeper that some of it needs.
func (a *app) outsideSettings(got map[string]setting, c *ServerConfig) error {
	var neededBy []setting
	for _, check := range []func(map[string]setting, *ServerConfig) (needs bool, by setting, err error){registrySettings, a.centreSettings} {
		needs, by, err := check(got, c)
		if err != nil {
			return err
		}
		if needs {
			neededBy = append(neededBy, by)
		}
	}
	var err error
	if c.ZooKeeper, err = a.zooKeeperSettings(got, neededBy...); err != nil {
		return err
	}
	return checkAdvertise(got["advertise"], c)
}

// registrySettings checks the settings about who finds instances where.
func registrySettings(got map[string]setting, c *ServerConfig) (needsZooKeeper bool, by setting, err error) {
	registry, prefix := got["registry"], got["navi-prefix"]
	c.Registry, c.NaviPrefix = registry.value, prefix.value
	switch {
	case c.Registry == "navi":
	case c.Registry != "builtin":
		return false, registry, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be builtin or navi", registry.name, c.Registry)
	case c.NaviPrefix != "":
		return false, registry, abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --registry=navi alone; remove it", prefix.name, c.NaviPrefix)
	}
	if p := c.NaviPrefix; p != "" && (!path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsRune(p, 0)) {
		return false, registry, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a clean path below /, like /navi_rpc", prefix.name, p)
	}
	return c.Registry == "navi", registry, nil
}

// checkAdvertise takes the address at which others reach the instances.
func checkAdvertise(advertise setting, c *ServerConfig) error {
	c.Advertise = advertise.value
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
