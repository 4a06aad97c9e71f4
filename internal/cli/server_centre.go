package cli

import (
	"net"
	"net/url"
	"strings"

	"abt2.dev"
)

// centreSettings checks the settings of what tells processes what is online.
func (a *app) centreSettings(got map[string]setting, c *ServerConfig) (needsZooKeeper bool, by setting, err error) {
	centre, listen, items, web := got["config-centre"], got["disconf-listen"], got["disconf-module-items"], got["disconf-web"]
	c.ConfigCentre = centre.value
	switch {
	case c.ConfigCentre == "disconf":
	case c.ConfigCentre != "builtin":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be builtin or disconf", centre.name, c.ConfigCentre)
	case listen.value != "":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --config-centre=disconf alone; remove it", listen.name, listen.value)
	case items.value != "false":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %s: is for --config-centre=disconf alone; remove it", items.name, items.value)
	case web.value != "":
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --config-centre=disconf alone; remove it", web.name, web.value)
	default:
		return false, centre, a.disconfWeb(got, c)
	}
	c.Disconf.Listen, c.Disconf.Prefix, c.Disconf.Version, c.Disconf.Env = listen.value, got["disconf-prefix"].value, got["disconf-version"].value, got["disconf-env"].value
	if _, _, err := net.SplitHostPort(listen.value); listen.value != "" && err != nil {
		return false, centre, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be HOST:PORT, like 0.0.0.0:7072", listen.name, listen.value)
	}
	return true, centre, a.disconfWeb(got, c)
}

// webUserVariable holds what --disconf-web-user-file would, where no file is named.
const webUserVariable = "ABT2_DISCONF_WEB_USER"

// disconfWeb reads how an existing disconf-web is reached.
func (a *app) disconfWeb(got map[string]setting, c *ServerConfig) error {
	web, file, listen := got["disconf-web"], got["disconf-web-user-file"], got["disconf-listen"]
	switch {
	case web.value == "" && file.value != "":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --disconf-web alone; remove it", file.name, file.value)
	case web.value == "":
		return nil
	case listen.value != "":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: clients fetch values from disconf-web %s; remove one of them", listen.name, listen.value, web.value)
	}
	u, err := url.Parse(web.value)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a URL, like http://10.0.0.8:8080", web.name, web.value)
	case u.User != nil: // a password, which is not repeated
		return abt2.Errorf(abt2.CodeInvalid, "%s at %s: has a user in it; give --disconf-web-user-file or %s instead", web.name, u.Host, webUserVariable)
	}
	both, err := a.userAndPassword(file, webUserVariable)
	if err != nil {
		return err
	}
	if both == "" {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: needs somebody who may change values there; give --disconf-web-user-file or %s with USER:PASSWORD", web.name, web.value, webUserVariable)
	}
	c.Disconf.WebURL = web.value
	c.Disconf.WebUser, c.Disconf.WebPassword, _ = strings.Cut(both, ":")
	return nil
}
