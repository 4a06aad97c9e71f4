package bfe

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"abt2.dev"
)

// settings is what bfe.conf says of BFE, as far as a driver needs it.
type settings struct {
	httpPort, monitorPort int
	files                 map[string]string // absolute, by the name of their setting
}

// The files that abt2 writes, by the setting of bfe.conf that says where, and
// where BFE looks without one. headerRules is a setting of mod_header.conf.
const (
	hostRules    = "HostRuleConf"
	vipRules     = "VipRuleConf"
	routeRules   = "RouteRuleConf"
	clusterConf  = "ClusterConf"
	clusterTable = "ClusterTableConf"
	gslbConf     = "GslbConf"
	nameConf     = "NameConf"
	headerRules  = "DataPath"
)

var whereBFELooks = map[string]string{
	hostRules:    "server_data_conf/host_rule.data",
	vipRules:     "server_data_conf/vip_rule.data",
	routeRules:   "server_data_conf/route_rule.data",
	clusterConf:  "server_data_conf/cluster_conf.data",
	nameConf:     "server_data_conf/name_conf.data",
	clusterTable: "cluster_conf/cluster_table.data",
	gslbConf:     "cluster_conf/gslb.data",
	headerRules:  "mod_header/mod_header.data",
}

// readSettings reads bfe.conf, and mod_header.conf beside it.
func readSettings(dir string) (settings, error) {
	conf, err := readConf(filepath.Join(dir, "bfe.conf"))
	if err != nil {
		return settings{}, err
	}
	header, err := readConf(filepath.Join(dir, "mod_header", "mod_header.conf"))
	if err != nil {
		return settings{}, err
	}
	server := conf["server"]
	if !slices.Contains(server["modules"], "mod_header") {
		return settings{}, abt2.Errorf(abt2.CodeInvalid, "%s: has no module that stamps requests; add Modules = mod_header to [Server]", filepath.Join(dir, "bfe.conf"))
	}
	if enabled := last(server["monitorenabled"]); strings.EqualFold(enabled, "false") {
		return settings{}, abt2.Errorf(abt2.CodeInvalid, "%s: MonitorEnabled %q: abt2 reloads BFE over its monitor port; make it true", filepath.Join(dir, "bfe.conf"), enabled)
	}
	s := settings{files: map[string]string{}}
	for _, p := range []struct {
		name      string
		into      *int
		byDefault string
	}{{"HttpPort", &s.httpPort, "8080"}, {"MonitorPort", &s.monitorPort, "8421"}} {
		value := last(server[strings.ToLower(p.name)])
		if value == "" {
			value = p.byDefault
		}
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n == 0 {
			return settings{}, abt2.Errorf(abt2.CodeInvalid, "%s: %s %q: must be a number from 1 to 65535", filepath.Join(dir, "bfe.conf"), p.name, value)
		}
		*p.into = int(n)
	}
	for name, byDefault := range whereBFELooks {
		path := last(server[strings.ToLower(name)])
		if name == headerRules {
			path = last(header["basic"][strings.ToLower(name)])
		}
		if path == "" {
			path = byDefault
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		s.files[name] = path
	}
	return s, nil
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// readConf reads a file of sections and settings as BFE does (gcfg): names in
// lower case, values in order.
func readConf(path string) (map[string]map[string][]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "BFE folder %q: is not one that BFE can start with", filepath.Dir(path))
	}
	out := map[string]map[string][]string{}
	section := ""
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			section = strings.ToLower(strings.TrimSpace(name))
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if out[section] == nil {
			out[section] = map[string][]string{}
		}
		name = strings.ToLower(strings.TrimSpace(name))
		out[section][name] = append(out[section][name], unquote(value))
	}
	return out, nil
}

func unquote(value string) string {
	value = strings.TrimSpace(value)
	if rest, ok := strings.CutPrefix(value, `"`); ok {
		value, _, _ = strings.Cut(rest, `"`)
		return value
	}
	if i := strings.IndexAny(value, ";#"); i >= 0 {
		value = value[:i]
	}
	return strings.TrimSpace(value)
}
