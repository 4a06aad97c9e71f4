package main

import (
	"context"
	"log/slog"
	"os"

	"abt2.dev"
	"abt2.dev/internal/cli"
	"abt2.dev/internal/drill"
	"abt2.dev/internal/server"
	"abt2.dev/internal/shim"
)

// What the command line hands over to the parts.

func newDrill(hurry <-chan struct{}) func(abt2.Service, abt2.DrillRequest) cli.Drill {
	return func(svc abt2.Service, r abt2.DrillRequest) cli.Drill { return drill.New(svc, r, hurry) }
}

func runServer(ctx context.Context, c cli.ServerConfig) error {
	program, err := os.Executable()
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the server cannot find its own program, which the edge and the instances need")
	}
	return server.Run(ctx, server.Config{
		Program:        program,
		DataDir:        c.Data,
		Listen:         c.Listen,
		RemoteListen:   c.RemoteListen,
		RemoteCert:     c.RemoteCert,
		RemoteKey:      c.RemoteKey,
		DNSListen:      c.DNSListen,
		Edge:           c.Edge,
		HAProxyProgram: c.HAProxyProgram,
		HAProxySnippet: c.HAProxySnippet,
		BFEFolders:     c.BFEConf,
		BFEWebSockets:  c.BFEWebSockets,
		ConfigCentre:   c.ConfigCentre,
		Disconf:        server.Disconf(c.Disconf),
		EdgeListen:     c.EdgeListen,
		EdgeURL:        c.EdgeURL,
		TLSCert:        c.EdgeCert,
		TLSKey:         c.EdgeKey,
		EdgeAccessLog:  c.AccessLog,
		EdgeElsewhere:  !c.EdgeStart,
		Registry:       c.Registry,
		NaviPrefix:     c.NaviPrefix,
		Advertise:      c.Advertise,
		ZooKeeper:      server.ZooKeeper(c.ZooKeeper),
		AllowRoot:      c.AllowRoot,
		AllowFaults:    c.AllowFaults,
		Hooks:          c.Hooks,
		Version:        build().Version,
		Log:            c.Log,
		Ready:          func(a server.Addresses) { c.Ready(a.API, a.Edge, a.DNS) },
	})
}

func runRestore(ctx context.Context, c cli.RestoreConfig) (cli.Restored, error) {
	r, err := server.Restore(ctx, server.RestoreConfig{
		From: c.From, Name: c.Name, DataDir: c.Data, Force: c.Force, Operator: c.Operator, Version: build().Version, Log: warnings(),
	})
	return cli.Restored{
		Data: r.DataDir, Created: r.Created, Abt2: r.Abt2, Epoch: r.Epoch, Modules: r.Modules, Artifacts: r.Artifacts, Aside: r.Aside, Kept: r.Kept,
	}, err
}

func runDoctor(ctx context.Context, c cli.ServerConfig) ([]cli.Finding, error) {
	var out []cli.Finding
	for _, f := range server.Examine(ctx, server.Config{DataDir: c.Data, Listen: c.Listen, EdgeListen: c.EdgeListen, EdgeElsewhere: !c.EdgeStart || c.Edge == server.EdgeBFE, Version: build().Version}) {
		out = append(out, cli.Finding{Check: f.Check, Result: string(f.Result), Detail: f.Detail, Remedy: f.Remedy})
	}
	return out, ctx.Err()
}

func runEdge(ctx context.Context, dir string, o cli.EdgeOptions) error {
	return server.RunEdge(ctx, dir, server.EdgeOptions(o))
}

func runShim(ctx context.Context, dir string) error { return shim.Run(ctx, dir) }

func runDown(ctx context.Context, dir string, dryRun bool) ([]string, error) {
	return server.Down(ctx, dir, dryRun, warnings())
}

// warnings is the log of commands that work without a server.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
