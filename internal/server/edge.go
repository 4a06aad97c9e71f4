package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/edge"
	"abt2.dev/internal/edge/edgectl"
)

// edgeID is the durable name of the one built-in edge.
const edgeID = "edge-1"

// edgeConfigFile is what the server tells its edge, in the edge's folder.
const edgeConfigFile = "config.json"

// restartEdge restarts an edge that a unit of abt2 install-systemd keeps running.
const restartEdge = "systemctl restart abt2-edge.service"

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
	kept := builtin.SupervisorConfig{
		Dir: dir, ID: edgeID, Command: []string{c.Program, "edge", "--dir=" + dir}, Takeover: []string{"--takeover"},
		Settings: told.Digest(), Log: c.Log,
	}
	if c.EdgeElsewhere {
		kept.RestartedBy = restartEdge
	}
	return builtin.NewSupervisor(kept)
}

// readyEdge returns the edge that runs, after it has been upgraded if it is of
// another program or was told otherwise. One that cannot be goes on as it is.
func readyEdge(ctx context.Context, s *builtin.Supervisor, log *slog.Logger) (edgectl.Description, error) {
	d, err := s.Ready(ctx)
	if err != nil || !s.Outdated(d) {
		return d, err
	}
	if err := s.Upgrade(ctx); err != nil {
		log.Warn("the edge that runs is of another program, or was told otherwise, and stays as it is", "version", d.Version, "error", err)
		return d, nil
	}
	return s.Describe(ctx)
}

// EdgeOptions is how an edge begins.
type EdgeOptions struct {
	Takeover bool // take the place of the edge that runs on the folder, if one does
	Wait     bool // for a server to prepare the folder, if none has
}

// RunEdge is the program of abt2 edge: it serves users as the server has
// written down in dir, on the socket that it was passed by whoever has started
// it (sd_listen_fds(3)), else on one of its own. Ready and stopping are told by
// sd_notify(3).
func RunEdge(ctx context.Context, dir string, o EdgeOptions) error {
	socket, err := passedSocket()
	if err != nil {
		return err
	}
	b, err := edgeConfig(ctx, dir, o.Wait)
	if err != nil {
		return err
	}
	var c edge.Config
	if err := json.Unmarshal(b, &c); err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: %s cannot be read; start the server, which writes it anew", dir, edgeConfigFile)
	}
	c.Takeover, c.ListenFD = o.Takeover, socket
	c.Ready = func() { tellStarter(daemon.SdNotifyReady) }
	defer context.AfterFunc(ctx, func() { tellStarter(daemon.SdNotifyStopping) })()
	return edge.Run(ctx, c)
}

// edgeConfig reads what a server has written for its edge.
func edgeConfig(ctx context.Context, dir string, wait bool) ([]byte, error) {
	const look = 100 * time.Millisecond // a file tells nobody that it is there
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(filepath.Join(dir, edgeConfigFile))
		if err == nil {
			return b, nil
		}
		if !wait || !errors.Is(err, fs.ErrNotExist) {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "--dir %q: is no folder that a server has prepared for an edge", dir)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
