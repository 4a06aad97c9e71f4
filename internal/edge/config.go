// Package edge is the built-in edge: the process that users' requests enter by.
// It stamps each with its environment and forwards it to that environment's
// modules; it outlives the server, which it hears from over the feed.
package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"abt2.dev"
)

// CredentialFile is the file in Config.Dir that holds the edge's bearer token,
// mode 0600, unless Config.Credential names another.
const CredentialFile = "credential"

// Config is what an edge process is started with.
type Config struct {
	ID  string // the edge's durable name
	Dir string // its folder: control socket, lock, last routes, logs; made if absent, mode 0700
	// Listen is the address users are served at, host:port. Port 0 picks a free
	// one, which an edge started again on the same Dir takes again.
	Listen string
	// ListenFD is the number of an inherited listening socket to use in place of
	// Listen; zero: none. Whoever has passed it keeps it open, so that connections
	// wait there for the next edge.
	ListenFD   int
	Server     string // address of the feed, host:port or http://host:port
	Credential string // file that holds the bearer token; empty: CredentialFile in Dir
	// TLSCert and TLSKey are files; with them the edge speaks HTTP/2 and HTTP/1.1
	// over TLS, without them HTTP/1.1 and HTTP/2 without TLS. They are read when
	// the edge starts.
	TLSCert, TLSKey string
	PublicURL       string // base of links that people open; empty: made of the address
	AccessLog       bool   // log every request
	// DrainTimeout bounds how long an edge that stops waits for its requests. Zero: 30 s.
	DrainTimeout time.Duration
	// HandoverTimeout bounds how long a process that has handed its sockets over
	// keeps the connections it had: streams, mostly. Zero: 5 minutes.
	HandoverTimeout time.Duration
	// Version is the program's, for Description.
	Version string
	// Takeover makes the process take over from the edge that runs on Dir, if one
	// does, in place of being refused by it.
	Takeover bool `json:"-"`
	// Ready is called once, when users are served. Nil: nobody cares.
	Ready func() `json:"-"`
	// Log takes what the edge has to say. Nil: JSON lines in edge.log in Dir, of
	// bounded size.
	Log *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.ID == "":
		return abt2.Errorf(abt2.CodeInvalid, "edge id %q: must not be empty; the server gives each edge one: --id=NAME", "")
	case c.Dir == "":
		return abt2.Errorf(abt2.CodeInvalid, "edge folder %q: must not be empty; set --dir=DIR", "")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return abt2.Errorf(abt2.CodeInvalid, "TLS certificate %q and key %q: must be given together", c.TLSCert, c.TLSKey)
	}
	if c.ListenFD == 0 {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return abt2.Wrap(abt2.CodeInvalid, err, "edge address %q: must be HOST:PORT, like 127.0.0.1:8080", c.Listen)
		}
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return abt2.Errorf(abt2.CodeInvalid, "edge URL %q: must be http://HOST or https://HOST without a path, as users type it", c.PublicURL)
		}
		c.PublicURL = u.Scheme + "://" + u.Host
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 30 * time.Second
	}
	if c.HandoverTimeout == 0 {
		c.HandoverTimeout = 5 * time.Minute
	}
	return nil
}

// Digest tells one configuration from another, by what is told to an edge: how
// it logs and where it takes its place from is not.
func (c Config) Digest() string {
	c.Log, c.Ready, c.Takeover, c.ListenFD = nil, nil, false, 0
	b, err := json.Marshal(c)
	if err != nil {
		return "" // it consists of strings and numbers
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// secure reports whether users come by https only.
func (c *Config) secure() bool { return strings.HasPrefix(c.PublicURL, "https:") }

// credential reads the bearer token. Others than its user may not have been
// able to read it.
func (c *Config) credential() (string, error) {
	name := c.Credential
	if name == "" {
		name = filepath.Join(c.Dir, CredentialFile)
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "credential %s: does not exist; the server writes it when it starts the edge", name)
	}
	if err != nil {
		return "", abt2.Wrap(abt2.CodeUnauthorized, err, "credential %s: cannot be read", name)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "credential %s: mode %04o lets others read it; chmod 600 %s", name, info.Mode().Perm(), name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", abt2.Wrap(abt2.CodeUnauthorized, err, "credential %s: cannot be read", name)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "credential %s: is empty; let the server write it again", name)
	}
	return token, nil
}
