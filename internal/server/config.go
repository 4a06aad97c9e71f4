package server

import (
	"log/slog"
	"os"
	"path/filepath"

	"abt2.dev"
)

// Config says how a server runs. Program and DataDir are required.
type Config struct {
	// Program is the abt2 executable; it is also the edge's and the shims'.
	Program string
	// DataDir holds everything the server knows and the instances' files.
	DataDir string
	Listen  string // the API's address, HOST:PORT; port 0 picks a free one once
	// RemoteListen is where the API is answered beyond this machine, HOST:PORT, with
	// RemoteCert and RemoteKey, PEM files; by TLS alone. Empty: nowhere.
	RemoteListen, RemoteCert, RemoteKey string
	// DNSListen is where names are answered over DNS, a loopback HOST:PORT; port 0
	// picks a free one each time. Empty: nowhere.
	DNSListen string
	// Edge is what users are served by: EdgeBuiltin, which is the default,
	// EdgeHAProxy or EdgeBFE.
	Edge           string
	HAProxyProgram string // empty: haproxy, found in PATH
	HAProxySnippet string // file of the user's own lines; empty: none
	// BFEFolders are configuration folders of the instances of BFE that somebody
	// else runs; one at least with EdgeBFE.
	BFEFolders    []string
	BFEWebSockets bool // let WebSockets in, through the built-in edge behind
	// ConfigCentre tells processes what is online that are no routers:
	// CentreBuiltin, which does nothing and is the default, or CentreDisconf.
	ConfigCentre string
	Disconf      Disconf
	// EdgeListen is where users are served; port 0 picks a free one once.
	EdgeListen    string
	EdgeURL       string // base of printed links; default: the edge's address
	TLSCert       string // of the edge: PEM files; empty: no TLS
	TLSKey        string
	EdgeAccessLog bool
	// EdgeElsewhere says that somebody else keeps the built-in edge running, on the
	// folder that the server prepares for it: the server waits for it, and neither
	// starts nor replaces it.
	EdgeElsewhere bool
	// Registry is where callers outside of abt2 find instances: RegistryBuiltin,
	// which is the default, or RegistryNavi, which needs ZooKeeper.
	Registry   string
	NaviPrefix string // below which it writes; empty: as Navi's clients have it
	// Advertise is the IP at which instances listen and others reach them.
	// Default: loopback.
	Advertise   string
	ZooKeeper   ZooKeeper // where something needs one
	AllowRoot   bool
	AllowFaults bool // make faults for drills
	Hooks       []abt2.Hook
	Version     string
	Log         *slog.Logger
	// Ready is called once, when everything has been found again. Nil: nobody cares.
	Ready func(Addresses)
}

// Addresses is where a server that is ready can be reached.
type Addresses struct {
	API     string // http://HOST:PORT
	Edge    string // base of links
	Remote  string // HOST:PORT of the API beyond this machine; empty: there is none
	DNS     string // HOST:PORT; empty: there is no name server
	DataDir string
}

// maxDataDir is the longest path of a data folder in which Unix sockets fit:
// their addresses are at most 103 bytes long on some systems (sun_path).
const maxDataDir = 80

func (c *Config) check() error {
	if c.DataDir == "" {
		return abt2.Errorf(abt2.CodeInvalid, "--data %q: must name a folder", "")
	}
	if err := c.checkEdge(); err != nil {
		return err
	}
	if err := c.checkRegistry(); err != nil {
		return err
	}
	if err := c.checkCentre(); err != nil {
		return err
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--data %q: cannot be made absolute", c.DataDir)
	}
	c.DataDir = dir
	if len(dir) > maxDataDir {
		return abt2.Errorf(abt2.CodeInvalid, "--data %q: is %d bytes long, and sockets in it need it to be at most %d; choose a shorter path", dir, len(dir), maxDataDir)
	}
	if os.Geteuid() == 0 && !c.AllowRoot {
		return abt2.Errorf(abt2.CodeRefused, "the server would run as root, and so would every instance; run it as a user of its own, or say --allow-root")
	}
	return nil
}

// The data folder's parts.
func (c Config) artifactsDir() string { return filepath.Join(c.DataDir, "artifacts") }
func (c Config) platformDir() string  { return platformDir(c.DataDir) }
func (c Config) externalDir() string  { return filepath.Join(c.DataDir, "external") }
func (c Config) edgeDir() string      { return edgeDir(c.DataDir) }

func platformDir(data string) string { return filepath.Join(data, "platform") }
func edgeDir(data string) string     { return filepath.Join(data, "edge") }
