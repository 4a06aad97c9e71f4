package cli

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"abt2.dev"
)

// serverSettings are the flags that have no other source.
type serverSettings struct {
	config    string
	allowRoot bool
}

// serverField is a setting with its three names: --edge-listen,
// ABT2_EDGE_LISTEN and edge_listen.
type serverField struct {
	flag      string
	byDefault string
	usage     string
}

var serverFields = []serverField{
	{"data", "", "the folder of everything the server keeps, `DIR` (default " + defaultData + ")"},
	{"listen", defaultServer, "where operators reach it, `HOST:PORT`; a loopback address; port 0 picks a free one"},
	{"remote-listen", "", "where operators reach it beyond this machine, `HOST:PORT`, by TLS with --remote-cert and --remote-key (default nowhere)"},
	{"remote-cert", "", "the TLS certificate of --remote-listen, a PEM file at `PATH`"},
	{"remote-key", "", "the key of --remote-cert, a PEM file at `PATH`"},
	{"edge", "builtin", "what users are served by, `NAME`: builtin, haproxy or bfe"},
	{"edge-listen", "127.0.0.1:8080", "where users reach the edge, `HOST:PORT`; port 0 picks a free one"},
	{"edge-url", "", "the address users type, the base of printed links: `URL` (default made of the edge's address)"},
	{"edge-cert", "", "the edge's TLS certificate, a PEM file at `PATH`"},
	{"edge-key", "", "the key of --edge-cert, a PEM file at `PATH`"},
	{"edge-start", "true", "start the edge, and replace it by a newer one; false: wait for one that somebody else keeps running"},
	{"haproxy-program", "", "with --edge=haproxy: the program at `PATH` (default haproxy, looked for where programs are)"},
	{"haproxy-snippet", "", "with --edge=haproxy: lines of your own for its defaults section, a file at `PATH`"},
	{"bfe-conf", "", "with --edge=bfe: BFE's configuration folder, `DIR`; of several instances, separated by commas"},
	{"bfe-websockets", "false", "with --edge=bfe: let WebSockets in, which then pass through the built-in edge"},
	{"dns-listen", "", "where names are answered over DNS, `HOST:PORT`; a loopback address; port 0 picks a free one (default nowhere)"},
	{"registry", "builtin", "where callers outside of abt2 find instances, `NAME`: builtin or navi"},
	{"navi-prefix", "", "with --registry=navi: the `PATH` below which it writes, which no other abt2 may share (default /navi_rpc)"},
	{"zookeeper", "", "the servers of your ZooKeeper, `HOST:PORT,…`; for --registry=navi and --config-centre=disconf"},
	{"zookeeper-session", "10s", "how long ZooKeeper lists an instance that it no longer hears, `DURATION`"},
	{"zookeeper-digest-file", "", "a file with USER:PASSWORD for ZooKeeper's digest, at `PATH` (default from ABT2_ZOOKEEPER_DIGEST; none: everybody may change its nodes)"},
	{"advertise", "127.0.0.1", "the `IP` of this machine at which others reach the instances, and these listen"},
	{"config-centre", "builtin", "what tells processes what is online that are no routers, `NAME`: builtin (nothing) or disconf"},
	{"disconf-listen", "", "with --config-centre=disconf: where its clients fetch values, `HOST:PORT` (default nowhere)"},
	{"disconf-prefix", "/disconf", "with --config-centre=disconf: the folder of its nodes in ZooKeeper, `PATH`"},
	{"disconf-version", "1_0_0_0", "with --config-centre=disconf: the `VERSION` that its clients are configured with"},
	{"disconf-env", "online", "with --config-centre=disconf: the `ENV` that its clients are configured with"},
	{"disconf-module-items", "false", "with --config-centre=disconf: also one item a module, for readers that know no maps"},
	{"disconf-web", "", "with --config-centre=disconf: a disconf-web of yours that clients fetch values from, its `URL`"},
	{"disconf-web-user-file", "", "with --disconf-web: a file with USER:PASSWORD for it, at `PATH` (default from ABT2_DISCONF_WEB_USER)"},
	{"log-level", "info", "debug, info, warn or error: `LEVEL`"},
	{"access-log", "false", "let the edge log every request"},
	{"allow-faults", "false", "let drills kill the server, and kill and pause instances"},
}

func (s serverField) env() string  { return "ABT2_" + strings.ToUpper(s.yaml()) }
func (s serverField) yaml() string { return strings.ReplaceAll(s.flag, "-", "_") }

// setting is a value and the name under which it was given.
type setting struct{ name, value string }

// serverConfig gathers the settings: flags, then the environment, then the file.
func (a *app) serverConfig(cmd *cobra.Command, s serverSettings) (ServerConfig, error) {
	path := s.config
	if !cmd.Flags().Changed("config") {
		path = a.env.Getenv("ABT2_CONFIG")
	}
	file, hooks, err := readServerFile(path)
	if err != nil {
		return ServerConfig{}, err
	}
	got := map[string]setting{}
	for _, f := range serverFields {
		v, inFile := file[f.yaml()]
		switch flag := cmd.Flags().Lookup(f.flag); {
		case flag.Changed:
			got[f.flag] = setting{"--" + f.flag, flag.Value.String()}
		case a.env.Getenv(f.env()) != "":
			got[f.flag] = setting{f.env(), a.env.Getenv(f.env())}
		case inFile:
			got[f.flag] = setting{path + ": " + f.yaml(), v}
		default:
			got[f.flag] = setting{"--" + f.flag, f.byDefault}
		}
	}
	c, err := a.checkedServerConfig(got, s.allowRoot)
	c.Hooks = hooks
	c.Ready = a.ready(c)
	return c, err
}

func (a *app) checkedServerConfig(got map[string]setting, allowRoot bool) (ServerConfig, error) {
	c := ServerConfig{
		Data: got["data"].value, Listen: got["listen"].value, DNSListen: got["dns-listen"].value, EdgeListen: got["edge-listen"].value, EdgeURL: got["edge-url"].value,
		RemoteListen: got["remote-listen"].value, RemoteCert: got["remote-cert"].value, RemoteKey: got["remote-key"].value,
		EdgeCert: got["edge-cert"].value, EdgeKey: got["edge-key"].value, AllowRoot: allowRoot,
		Edge: got["edge"].value, HAProxyProgram: got["haproxy-program"].value, HAProxySnippet: got["haproxy-snippet"].value,
	}
	var err error
	if c.Data == "" {
		c.Data, err = a.dataFolder()
	} else {
		c.Data, err = absolute(c.Data)
	}
	if err != nil {
		return c, err
	}
	if err := loopbackAddress(got["listen"].name, c.Listen); err != nil {
		return c, err
	}
	if err := checkRemote(got["remote-listen"].name, c); err != nil {
		return c, err
	}
	if host, _, err := net.SplitHostPort(c.DNSListen); c.DNSListen != "" && (err != nil || !isLoopback(host)) {
		return c, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a loopback address and a port, like 127.0.0.1:5353, because whoever reaches it is answered; port 0 picks a free one", got["dns-listen"].name, c.DNSListen)
	}
	if _, _, err := net.SplitHostPort(c.EdgeListen); err != nil {
		return c, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be HOST:PORT, like 127.0.0.1:8080; port 0 picks a free one", got["edge-listen"].name, c.EdgeListen)
	}
	if !slices.Contains([]string{"builtin", "haproxy", "bfe"}, c.Edge) {
		return c, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be builtin, haproxy or bfe", got["edge"].name, c.Edge)
	}
	if err := c.readBFE(got); err != nil {
		return c, err
	}
	for _, f := range []string{"haproxy-program", "haproxy-snippet"} {
		if c.Edge != "haproxy" && got[f].value != "" {
			return c, abt2.Errorf(abt2.CodeInvalid, "%s %q: is for --edge=haproxy alone; remove it", got[f].name, got[f].value)
		}
	}
	if err := a.outsideSettings(got, &c); err != nil {
		return c, err
	}
	if err := checkURL(got["edge-url"].name, c.EdgeURL); err != nil {
		return c, err
	}
	if (c.EdgeCert == "") != (c.EdgeKey == "") {
		return c, abt2.Errorf(abt2.CodeInvalid, "--edge-cert %q, --edge-key %q: TLS needs both; give the other one, too", c.EdgeCert, c.EdgeKey)
	}
	for _, path := range []*string{&c.EdgeCert, &c.EdgeKey, &c.RemoteCert, &c.RemoteKey, &c.HAProxyProgram, &c.HAProxySnippet} { // the edge has another working directory
		if *path != "" {
			if *path, err = absolute(*path); err != nil {
				return c, err
			}
		}
	}
	for _, b := range []struct {
		setting
		into *bool
	}{{got["edge-start"], &c.EdgeStart}, {got["access-log"], &c.AccessLog}, {got["bfe-websockets"], &c.BFEWebSockets}, {got["disconf-module-items"], &c.Disconf.Modules}, {got["allow-faults"], &c.AllowFaults}} {
		if *b.into, err = strconv.ParseBool(b.value); err != nil {
			return c, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be true or false", b.name, b.value)
		}
	}
	if c.Edge == "haproxy" && !c.EdgeStart {
		return c, abt2.Errorf(abt2.CodeInvalid, "%s false: is for --edge=builtin alone; the server keeps HAProxy running", got["edge-start"].name)
	}
	if c.Edge == "haproxy" && c.AccessLog {
		return c, abt2.Errorf(abt2.CodeInvalid, "%s true: is for --edge=builtin alone; let HAProxy log by lines of your own: --haproxy-snippet", got["access-log"].name)
	}
	if err := c.checkBFE(got); err != nil {
		return c, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(got["log-level"].value)); err != nil {
		return c, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be debug, info, warn or error", got["log-level"].name, got["log-level"].value)
	}
	c.Log = slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: level}))
	return c, nil
}

// checkRemote checks where operators are answered beyond this machine.
func checkRemote(field string, c ServerConfig) error {
	_, _, err := net.SplitHostPort(c.RemoteListen)
	switch {
	case c.RemoteListen == "" && c.RemoteCert == "" && c.RemoteKey == "":
		return nil
	case c.RemoteListen == "":
		return abt2.Errorf(abt2.CodeInvalid, "--remote-cert %q, --remote-key %q: are for --remote-listen; say where, like 0.0.0.0:7443", c.RemoteCert, c.RemoteKey)
	case err != nil:
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be HOST:PORT, like 0.0.0.0:7443", field, c.RemoteListen)
	case c.RemoteCert == "" || c.RemoteKey == "":
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: is beyond this machine, where credentials must not travel in the clear; give --remote-cert and --remote-key", field, c.RemoteListen)
	}
	return nil
}

// readServerFile reads abt2.yaml. Unknown settings are refused: a mistyped one
// must not be a silent default. hooks: is the only setting that is a list.
func readServerFile(path string) (map[string]string, []abt2.Hook, error) {
	if path == "" {
		return nil, nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, abt2.Wrap(abt2.CodeInvalid, err, "--config %q: cannot be read; name a YAML file, or leave it out", path)
	}
	var nodes map[string]yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&nodes); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, abt2.Wrap(abt2.CodeInvalid, err, "--config %q: must be lines of setting: value", path)
	}
	var known []string
	for _, f := range serverFields {
		known = append(known, f.yaml())
	}
	out := map[string]string{}
	for k, n := range nodes {
		if k == "hooks" {
			continue
		}
		if !slices.Contains(known, k) {
			return nil, nil, abt2.Errorf(abt2.CodeInvalid, "--config %q: %s: is not a setting; there are %s, hooks", path, k, strings.Join(known, ", "))
		}
		var v string
		if err := n.Decode(&v); err != nil {
			return nil, nil, abt2.Errorf(abt2.CodeInvalid, "--config %q: line %d: %s: must be one value", path, n.Line, k)
		}
		out[k] = v
	}
	hooks, err := decodeHooks(path, nodes["hooks"])
	return out, hooks, err
}
