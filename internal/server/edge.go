package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/edge"
	"abt2.dev/internal/edge/edgectl"
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
	told := edge.Config{
		ID: edgeID, Dir: dir, Listen: c.EdgeListen, Server: api, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		PublicURL: c.EdgeURL, AccessLog: c.EdgeAccessLog, Version: c.Version,
	}
	b, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := writeWhole(filepath.Join(dir, edgeConfigFile), b); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "the edge's configuration cannot be written")
	}
	return builtin.NewSupervisor(builtin.SupervisorConfig{
		Dir: dir, ID: edgeID, Command: []string{c.Program, "edge", "--dir=" + dir}, Takeover: []string{"--takeover"},
		Settings: told.Digest(), Log: c.Log,
	})
}

// readyEdge returns the edge that runs, after it has been upgraded if it is of
// another program or was told otherwise. One that cannot be goes on as it is.
func readyEdge(ctx context.Context, s *builtin.Supervisor, log *slog.Logger) (edgectl.Description, error) {
	d, err := s.Ready(ctx)
	if err != nil || !s.Outdated(d) {
		return d, err
	}
	if err := s.Upgrade(ctx); err != nil {
		log.Warn("the edge that runs stays as it is; abt2 down and abt2 server start it anew", "version", d.Version, "error", err)
		return d, nil
	}
	return s.Describe(ctx)
}

// RunEdge is the program of abt2 edge: it serves users as the server has
// written down in dir. With takeover it takes the place of the edge that runs
// there, if one does.
func RunEdge(ctx context.Context, dir string, takeover bool) error {
	b, err := os.ReadFile(filepath.Join(dir, edgeConfigFile))
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: is no folder that a server has prepared for an edge", dir)
	}
	var c edge.Config
	if err := json.Unmarshal(b, &c); err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: %s cannot be read; start the server, which writes it anew", dir, edgeConfigFile)
	}
	c.Takeover = takeover
	return edge.Run(ctx, c)
}
