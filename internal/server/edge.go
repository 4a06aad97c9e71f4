package server

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/edge"
)

// edgeID is the durable name of the one built-in edge.
const edgeID = "edge-1"

// edgeConfigFile is what the server tells its edge, in the edge's folder.
const edgeConfigFile = "config.json"

// superviseEdge writes what the edge is told and returns what keeps it running.
func superviseEdge(c Config, api, credential string) (*builtin.Supervisor, error) {
	dir := c.edgeDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the edge's folder cannot be made")
	}
	if err := writeWhole(filepath.Join(dir, edge.CredentialFile), []byte(credential+"\n")); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the edge's credential cannot be written")
	}
	b, err := json.MarshalIndent(edge.Config{
		ID: edgeID, Dir: dir, Listen: c.EdgeListen, Server: api, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		PublicURL: c.EdgeURL, AccessLog: c.EdgeAccessLog, Version: c.Version,
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	told := filepath.Join(dir, edgeConfigFile)
	if old, err := os.ReadFile(told); err == nil && !bytes.Equal(old, b) {
		c.Log.Warn("the edge's settings have changed; one that runs keeps its own until it is started again, by abt2 down and abt2 server")
	}
	if err := writeWhole(told, b); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the edge's configuration cannot be written")
	}
	return builtin.NewSupervisor(builtin.SupervisorConfig{
		Dir: dir, ID: edgeID, Command: []string{c.Program, "edge", "--dir=" + dir}, Log: c.Log,
	})
}

// RunEdge is the program of abt2 edge: it serves users as the server has
// written down in dir.
func RunEdge(ctx context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, edgeConfigFile))
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: is no folder that a server has prepared for an edge", dir)
	}
	var c edge.Config
	if err := json.Unmarshal(b, &c); err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: %s cannot be read; start the server, which writes it anew", dir, edgeConfigFile)
	}
	return edge.Run(ctx, c)
}
