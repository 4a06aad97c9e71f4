package server

import (
	"context"
	"log/slog"
	"os"

	"abt2.dev"
	"abt2.dev/internal/driver/process"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/internal/store"
)

// Down ends everything that is ours in a data folder: its server, if one runs,
// the edge, and every instance. It says what it ended, a line each, and may be
// repeated. The data stay. A dry run says what would be ended.
func Down(ctx context.Context, dataDir string, dryRun bool, log *slog.Logger) (ended []string, err error) {
	c := Config{DataDir: dataDir, AllowRoot: true}
	if err := c.check(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.DataDir); err != nil {
		return nil, abt2.Wrap(abt2.CodeNotFound, err, "--data %q: there is no such data folder", dataDir)
	}
	edges := edgectl.NewClient(c.edgeDir())
	if dryRun {
		return running(ctx, c, edges)
	}
	stopped, err := stopServer(ctx, c.DataDir)
	if err != nil {
		return nil, err
	}
	if stopped {
		ended = append(ended, "server")
	}
	// From here on no server may start what is being ended.
	lock, err := store.Lock(c.DataDir)
	if err != nil {
		return ended, err
	}
	defer lock.Close()

	if d, err := edges.Describe(ctx); err == nil {
		if err := edges.Stop(ctx); err != nil {
			return ended, err
		}
		if err := edges.Wait(ctx); err != nil {
			return ended, err
		}
		ended = append(ended, "edge "+d.ID)
	}
	instances, err := process.StopAll(ctx, c.platformDir(), log)
	return append(ended, lines(instances)...), err
}

// running says what Down would end.
func running(ctx context.Context, c Config, edges *edgectl.Client) (parts []string, err error) {
	if serverAnswers(ctx, c.DataDir) {
		parts = append(parts, "server")
	}
	if d, err := edges.Describe(ctx); err == nil {
		parts = append(parts, "edge "+d.ID)
	}
	instances, err := process.Recorded(c.platformDir())
	return append(parts, lines(instances)...), err
}

func lines(ids []abt2.InstanceID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, "instance "+string(id))
	}
	return out
}
