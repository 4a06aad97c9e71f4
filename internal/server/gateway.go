package server

import (
	"context"
	"path/filepath"

	"abt2.dev"
	"abt2.dev/internal/driver/haproxy"
	"abt2.dev/internal/release"
)

// The edges that users can be served by.
const (
	EdgeBuiltin = "builtin"
	EdgeHAProxy = "haproxy"
	EdgeBFE     = "bfe"
)

// haproxyID is the durable name of the one HAProxy.
const haproxyID = "haproxy-1"

func haproxyDir(data string) string { return filepath.Join(data, "haproxy") }

// builtinBehind makes the settings of the built-in edge where users come to
// another: it keeps the unversioned names and answers below abt2.ReservedPrefix,
// on loopback.
func (c Config) builtinBehind(url string) Config {
	c.EdgeListen, c.TLSCert, c.TLSKey, c.EdgeURL = "127.0.0.1:0", "", "", url
	return c
}

// newHAProxy prepares the HAProxy of a configuration. pages is the built-in
// edge's address, "" where that is not known yet.
func newHAProxy(c Config, pages string) (*haproxy.Edge, error) {
	return haproxy.New(haproxy.Config{
		Dir: haproxyDir(c.DataDir), Listen: c.EdgeListen, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		Program: c.HAProxyProgram, Snippet: c.HAProxySnippet, Pages: pages, Log: c.Log,
	})
}

// haproxyURL is the base of links to an HAProxy that may not run yet.
func haproxyURL(ctx context.Context, c Config) (string, error) {
	if c.EdgeURL != "" {
		return c.EdgeURL, nil
	}
	h, err := newHAProxy(c, "")
	if err != nil {
		return "", err
	}
	address, err := h.Address(ctx)
	if c.TLSCert != "" {
		return "https://" + address, err
	}
	return "http://" + address, err
}

// startHAProxy returns the HAProxy that runs, which it starts if none does.
func startHAProxy(ctx context.Context, c Config, url, pages string) (*haproxy.Edge, release.EdgeTarget, error) {
	h, err := newHAProxy(c, pages)
	if err != nil {
		return nil, release.EdgeTarget{}, err
	}
	if _, err := h.Ready(ctx); err != nil {
		return nil, release.EdgeTarget{}, err
	}
	return h, release.EdgeTarget{ID: haproxyID, Edge: h, Address: url}, nil
}

func (c *Config) checkEdge() error {
	switch c.Edge {
	case "":
		c.Edge = EdgeBuiltin
	case EdgeBuiltin, EdgeHAProxy, EdgeBFE:
	default:
		return abt2.Errorf(abt2.CodeInvalid, "--edge %q: is none that we drive; there are %s, %s and %s", c.Edge, EdgeBuiltin, EdgeHAProxy, EdgeBFE)
	}
	if c.Edge != EdgeHAProxy && c.HAProxyProgram+c.HAProxySnippet != "" {
		return abt2.Errorf(abt2.CodeInvalid, "--haproxy-program and --haproxy-snippet: are for --edge=%s alone; remove them", EdgeHAProxy)
	}
	return c.checkBFE()
}

// gatewayURL is the base of links to what users come to in place of the built-in
// edge; empty: they come to that.
func gatewayURL(ctx context.Context, c Config) (string, error) {
	switch c.Edge {
	case EdgeHAProxy:
		return haproxyURL(ctx, c)
	case EdgeBFE:
		return bfeURL(c)
	}
	return "", nil
}

// stopHAProxy ends the HAProxy of a data folder; false: none runs.
func stopHAProxy(ctx context.Context, data string) (bool, error) {
	h, runs, err := findHAProxy(ctx, data)
	if err != nil || !runs {
		return false, err
	}
	return true, h.Stop(ctx)
}

func findHAProxy(ctx context.Context, data string) (h *haproxy.Edge, runs bool, err error) {
	if h, err = newHAProxy(Config{DataDir: data, EdgeListen: "127.0.0.1:0"}, ""); err != nil {
		return nil, false, err
	}
	runs, err = h.Runs()
	return h, runs, err
}
