package cli

import (
	"log/slog"
	"net/url"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// ServerConfig is what abt2 server is told. Addresses and the URL are checked,
// the folder is absolute.
type ServerConfig struct {
	Data   string // folder of everything the server keeps
	Listen string // host:port of the API, loopback; port 0 picks a free one
	// RemoteListen is the host:port of the API beyond this machine, by TLS with
	// RemoteCert and RemoteKey; empty: there is none.
	RemoteListen, RemoteCert, RemoteKey string

	DNSListen  string // host:port of the name server, loopback; port 0 picks a free one; empty: there is none
	Edge       string // what users are served by: builtin, haproxy or bfe
	EdgeListen string // host:port that users reach; port 0 picks a free one
	EdgeURL    string // base of printed links; empty: made of the edge's address
	EdgeCert   string // TLS files of the edge; both or none
	EdgeKey    string
	AccessLog  bool // of the edge
	EdgeStart  bool // start and replace the edge, not wait for one that somebody else keeps running
	// Registry is where callers outside find instances: builtin, or navi with ZooKeeper.
	Registry   string
	NaviPrefix string // empty: as Navi's clients have it
	Advertise  string // IP at which instances listen and others reach them
	ZooKeeper  ZooKeeper
	// HAProxyProgram and HAProxySnippet are paths; empty: haproxy in PATH, none.
	HAProxyProgram string
	HAProxySnippet string
	BFEConf        []string // absolute folders; with BFE one at least
	BFEWebSockets  bool
	ConfigCentre   string  // what tells processes what is online that are no routers: builtin or disconf
	Disconf        Disconf // zero: not disconf
	AllowRoot      bool    // run although the user is root
	// AllowFaults lets operators have faults made, for drills.
	AllowFaults bool
	Hooks       []abt2.Hook // valid, in order
	Log         *slog.Logger
	// Ready is called once, when everything that ran before has been found again
	// and calls are answered: with the URL of the API and the base of links,
	// and, where names are answered over DNS, with that address.
	Ready func(api, edge, dns string)
}

// Disconf is how clients of disconf are told.
type Disconf struct {
	Listen  string // where they fetch values, host:port; empty: nowhere
	Prefix  string // of their nodes in ZooKeeper
	Version string // that they are configured with
	Env     string
	Modules bool // one item a module, too
	// WebURL is where an existing disconf-web is, which they fetch values from then;
	// empty: none. The password is a secret.
	WebURL, WebUser, WebPassword string
}

func (a *app) serverCommand() *cobra.Command {
	var settings serverSettings
	c := &cobra.Command{
		Use:   "server",
		Short: "Run abt2 on this machine",
		Long: `Runs the server of one machine and, as processes of their own that outlive it, the
edge that users reach and the instances. Stopping the server, with Ctrl-C or for
an upgrade, touches no user; abt2 down stops everything.

When everything that ran before has been found again it prints one line with the
addresses. The operators' credential is then in operator.token of the data folder.

With --allow-faults whoever has the credential may have the server killed, and
instances killed, paused and slowed, for a drill: never say it where you would
mind. A killed server is followed by another process of it; abt2 down ends that.

Every setting but --allow-root can also come from the environment (--edge-listen
from ABT2_EDGE_LISTEN, and so on) or from the YAML file --config (edge_listen).
Flags win over the environment, and that over the file. Hooks, programs and web
services that are asked before a verb or told after it, are set in the file only,
under hooks: as docs/hooks.md has it.`,
		Example: `  abt2 server
  abt2 server --data=/srv/abt2 --listen=127.0.0.1:7070 --edge-listen=0.0.0.0:80
  abt2 server --config=/etc/abt2.yaml`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := a.serverConfig(cmd, settings)
			if err != nil {
				return err
			}
			return a.env.RunServer(cmd.Context(), config)
		},
	}
	a.serverFlags(c, &settings)
	return c
}

// serverFlags are for commands that need to know a server's settings.
func (a *app) serverFlags(c *cobra.Command, settings *serverSettings) {
	f := c.Flags()
	for _, s := range serverFields {
		if s.byDefault == "true" || s.byDefault == "false" {
			f.Bool(s.flag, s.byDefault == "true", s.usage)
			continue
		}
		f.String(s.flag, s.byDefault, s.usage)
	}
	f.StringVar(&settings.config, "config", "", "a YAML file with settings, at `PATH`")
	f.BoolVar(&settings.allowRoot, "allow-root", false, "run although the user is root")
}

// ready prints the one line that a server prints.
func (a *app) ready(c ServerConfig) func(api, edge, dns string) {
	hooks, warning := "", ""
	if len(c.Hooks) > 0 {
		hooks = ", " + count(len(c.Hooks), "hook")
	}
	if c.AllowFaults {
		warning = "; FAULTS ARE ALLOWED: a drill may kill and pause what runs"
	}
	return func(api, edge, dns string) {
		if dns != "" {
			dns = ", dns " + dns
		}
		a.out.line("ready: api %s, edge %s, data %s%s%s%s", api, edge, c.Data, dns, hooks, warning)
	}
}

// checkURL checks the base of links.
func checkURL(field, s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be the address users type, like https://shop.example.com", field, s)
	}
	return nil
}
