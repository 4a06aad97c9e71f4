package cli

import (
	"net"

	"abt2.dev"
)

// centreSettings checks the settings of what tells processes what is online.
func centreSettings(got map[string]setting, c *ServerConfig) (needsZooKeeper bool, by setting, err error) {
	centre, listen, items := got["config-centre"], got["disconf-listen"], got["disconf-module-items"]
	c.ConfigCentre = centre.value
	switch {
	case c.ConfigCentre == "disconf":
	case c.ConfigCentre != "builtin":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be builtin or disconf", centre.name, c.ConfigCentre)
	case listen.value != "":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --config-centre=disconf alone; remove it", listen.name, listen.value)
	case items.value != "false":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %s: is for --config-centre=disconf alone; remove it", items.name, items.value)
	default:
		return false, centre, nil
	}
	c.Disconf.Listen, c.Disconf.Prefix, c.Disconf.Version, c.Disconf.Env = listen.value, got["disconf-prefix"].value, got["disconf-version"].value, got["disconf-env"].value
	if _, _, err := net.SplitHostPort(listen.value); listen.value != "" && err != nil {
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be HOST:PORT, like 0.0.0.0:7072", listen.name, listen.value)
	}
	return true, centre, nil
}
