package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/process"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/internal/store"
)

// Down ends everything that is ours in a data folder: its server, if one runs,
// the edge, and every instance. It says what it ended, a line each, and may be
// repeated; what hangs is named, with the way to end it, and everything else is
// ended all the same. Where the server hangs nothing is ended: it would start it
// anew. The data stay. A dry run says what would be ended.
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

	edge, edgeErr := stopEdge(ctx, c.edgeDir(), edges)
	if edge != "" {
		ended = append(ended, edge)
	}
	if stopped, err = stopHAProxy(ctx, c.DataDir); err != nil {
		return ended, err
	}
	if stopped {
		ended = append(ended, "edge "+haproxyID)
	}
	instances, err := process.StopAll(ctx, c.platformDir(), log)
	return append(ended, lines(instances)...), errors.Join(edgeErr, err)
}

// stopEdge ends the edge and returns its name, or nothing where none runs.
func stopEdge(ctx context.Context, dir string, edges *edgectl.Client) (string, error) {
	asked, cancel := context.WithTimeoutCause(ctx, hangs, errHangs)
	defer cancel()
	d, err := edges.Describe(asked)
	if err == nil {
		err = edges.Stop(asked)
	}
	if err == nil {
		return "edge " + d.ID, edges.Wait(ctx) // it finishes its requests, for a bounded time
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if !errors.Is(context.Cause(asked), errHangs) {
		return "", nil // nobody is there
	}
	return "", stuck(err, "the edge", filepath.Join(dir, edgectl.SocketFile))
}

// hangs is how long a process may leave a question unanswered before it is
// taken for one that hangs.
const hangs = 5 * time.Second

var errHangs = fmt.Errorf("no answer within %s", hangs)

// stuck names a process that hangs and the ways to go on.
func stuck(cause error, who, socket string) error {
	pid, ok := listener(socket)
	if !ok {
		return abt2.Wrap(abt2.CodeFailed, cause, "%s does not answer at %s; find the process that listens there, let it go on or end it, then repeat", who, socket)
	}
	return abt2.Wrap(abt2.CodeFailed, cause, "%s, process %d, does not answer; let it go on (kill -CONT %d) or end it (kill -KILL %d), then repeat", who, pid, pid, pid)
}

// running says what Down would end.
func running(ctx context.Context, c Config, edges *edgectl.Client) (parts []string, err error) {
	part := func(who string, name func(context.Context) (string, bool)) {
		asked, cancel := context.WithTimeoutCause(ctx, hangs, errHangs)
		defer cancel()
		if name, ok := name(asked); ok {
			parts = append(parts, name)
		} else if asked.Err() != nil {
			parts = append(parts, who+", which does not answer")
		}
	}
	part("server", func(ctx context.Context) (string, bool) { return "server", serverAnswers(ctx, c.DataDir) })
	part("edge", func(ctx context.Context) (string, bool) {
		d, err := edges.Describe(ctx)
		return "edge " + d.ID, err == nil
	})
	if _, runs, err := findHAProxy(ctx, c.DataDir); err != nil {
		return parts, err
	} else if runs {
		parts = append(parts, "edge "+haproxyID)
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
