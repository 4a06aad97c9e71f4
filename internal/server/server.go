// Package server is the server of one machine: it puts the parts together and
// keeps their order of beginning and end.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"abt2.dev"
	"abt2.dev/internal/api"
	"abt2.dev/internal/artifact"
	"abt2.dev/internal/driver/all"
	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/driver/external"
	"abt2.dev/internal/driver/process"
	"abt2.dev/internal/feed"
	"abt2.dev/internal/hook"
	"abt2.dev/internal/release"
	"abt2.dev/internal/store"
)

// Run serves until ctx ends, when it returns nil, or until something it cannot
// do without fails. The edge and the instances outlive it; the next Run on the
// same data folder finds them again. Ready and stopping are told by sd_notify(3).
func Run(ctx context.Context, c Config) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := errors.New("asked to end")

	heritage, err := inherit(ctx)
	if err != nil {
		return failure(ctx, ended, err)
	}
	if err := openFolder(c.DataDir, program(c.Version)); err != nil {
		return err
	}
	state, err := store.Open(ctx, store.Config{Dir: c.DataDir, Log: c.Log})
	if heritage.heir && abt2.CodeOf(err) == abt2.CodeRefused {
		c.Log.Info("somebody else has started a server on the folder; nothing is left to do", "detail", err)
		return nil
	}
	if err != nil {
		return err
	}
	var listens atomic.Value // the API's address
	closeControl, err := control(ctx, c.DataDir, func() description {
		address, _ := listens.Load().(string)
		return description{Version: program(c.Version), Address: address}
	}, func() { stop(ended) })
	if err != nil {
		return errors.Join(err, state.Close())
	}
	// Who waits at the control socket may take the folder's lock the moment it closes.
	defer func() { err = errors.Join(err, state.Close(), closeControl()) }()

	// From here on the folder is this server's: who comes now is refused, and
	// abt2 down finds it.
	if err := heritage.stayAway(ctx); err != nil {
		return failure(ctx, ended, err)
	}
	folder, err := claimFolder(c.DataDir, program(c.Version))
	if err != nil {
		return err
	}
	secrets, err := openCredentials(c.DataDir)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.DataDir, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	beyond, err := listenRemote(ctx, c)
	if err != nil {
		return err
	}
	defer beyond.Close()
	address := listener.Addr().String()
	listens.Store(address)

	artifacts, err := artifact.Open(artifact.Config{Dir: c.artifactsDir()})
	if err != nil {
		return err
	}
	platform, err := process.New(process.Config{
		Dir: c.platformDir(), Host: c.Advertise, Shim: []string{c.Program, "shim"}, Log: c.Log,
		Credential: func(id abt2.InstanceID) string { return secrets.issue(kindInstance, string(id)) },
	})
	if err != nil {
		return err
	}
	outside, err := external.Open(external.Config{Dir: c.externalDir(), Log: c.Log})
	if err != nil {
		return err
	}
	defer outside.Close()
	edgeURL, err := gatewayURL(ctx, c)
	if err != nil {
		return err
	}
	builtinConfig := c
	if edgeURL != "" {
		builtinConfig = c.builtinBehind(edgeURL)
	}
	supervisor, err := superviseEdge(builtinConfig, address, secrets.issue(kindEdge, edgeID))
	if err != nil {
		return err
	}
	routersFeed := feed.New(c.Log, feed.AuthenticatorFunc(secrets.router))

	var group sync.WaitGroup
	defer group.Wait()
	defer stop(ended)
	run := func(what string, part func(context.Context) error) {
		group.Go(func() {
			if err := part(ctx); ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	var allowed release.Faults
	if c.AllowFaults {
		c.Log.Warn("faults are allowed: whoever has the operators' credential may have this server killed, and instances killed and paused")
		f := newFaults(c.Program, map[string]any{edgeID: supervisor}, c.Log)
		run("faults", f.run)
		allowed = f
	}
	edge, err := readyEdge(ctx, supervisor, c.Log)
	if err != nil {
		return err
	}
	run("edge", supervisor.Run)
	edges := []release.EdgeTarget{{ID: edgeID, Edge: builtin.NewEdge(routersFeed, edgeID), Address: edge.URL}}
	var own []string
	switch c.Edge {
	case EdgeHAProxy:
		gateway, target, err := startHAProxy(ctx, c, edgeURL, edge.Addresses[0])
		if err != nil {
			return err
		}
		run(haproxyID, gateway.Run)
		listens, err := gateway.Address(ctx)
		if err != nil {
			return err
		}
		own = append(own, listens)
		edges[0].Address = "" // users come to HAProxy
		edges = append([]release.EdgeTarget{target}, edges...)
	case EdgeBFE:
		targets, listens, err := prepareBFEs(c, edgeURL, edge.Addresses[0])
		if err != nil {
			return err
		}
		own = append(own, listens...)
		edges[0].Address = "" // users come to BFE
		edges = append(targets, edges...)
	}
	registry, err := withRegistry(ctx, c, folder.Installation, builtin.NewRegistry(routersFeed, []string{edgeID}), platform, run)
	if err != nil {
		return err
	}
	centre, endCentre, err := startCentre(ctx, c, folder.Installation, run)
	if err != nil {
		return err
	}
	defer endCentre()
	engine := release.New(release.Config{
		Store: state, Artifacts: artifacts, Platform: all.Platform(platform, outside),
		Edges:        edges,
		Caller:       naviCaller{&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}},
		Centre:       centre,
		Registry:     registry,
		Routers:      routers{routersFeed},
		DecodeModule: artifact.DecodeModule,
		NewName:      newName(c.DataDir),
		Own:          ownAddresses(address, append(own, edge.Addresses...)),
		EdgeURL:      edge.URL, // of HAProxy or BFE, where there is one
		InstanceEnv:  map[string]string{"ABT2_SERVER": "http://" + address},
		Faults:       allowed,
		Hooks:        hook.New(c.Hooks, c.Log),
		WriteBackup:  (&backups{state, artifacts, program(c.Version), folder.Installation}).write,
		Log:          c.Log,
	})
	closeHTTP := serve(listener, beyond, routersFeed, api.NewHandler(engine, api.OperatorToken(operatorTokenFile, secrets.operator), c.Log, api.AllowCertified(beyond.certificate())),
		newMetrics(routersFeed, supervisor, secrets), run)
	defer closeHTTP()
	dns, err := answerNames(ctx, c, engine, run)
	if err != nil {
		return err
	}
	run("engine", engine.Serve)
	select {
	case <-engine.Ready():
	case <-ctx.Done():
		return failure(ctx, ended, nil)
	}
	defer context.AfterFunc(ctx, func() { tellStarter(daemon.SdNotifyStopping) })()
	if beyond != nil {
		c.Log.Info("operators are answered beyond this machine, by TLS", "address", beyond.address())
	}
	if c.Ready != nil {
		c.Ready(Addresses{API: "http://" + address, Remote: beyond.address(), Edge: edge.URL, DNS: dns, DataDir: c.DataDir})
	}
	tellStarter(daemon.SdNotifyReady)
	<-ctx.Done()
	return failure(ctx, ended, nil)
}

// failure is why the server ends, nil if it was asked to: err, or the cause of
// ctx's end.
func failure(ctx context.Context, ended, err error) error {
	if err == nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, ended) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serve answers on the listener, and by TLS beyond this machine: the feed of routers, metrics, and for the rest
// the operators' API. The function it returns ends that and waits for answers
// on their way.
func serve(l net.Listener, beyond *remote, routers *feed.Feed, operators, metrics http.Handler, run func(string, func(context.Context) error)) (end func()) {
	mux := http.NewServeMux()
	mux.Handle(routers.Handler())
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /metrics/edge", metrics)
	var out answers
	mux.Handle("/", out.handler(operators))
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, Protocols: new(http.Protocols),
		ConnContext: out.connContext, ConnState: out.connState,
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second} // a router that vanished is noticed
	var served sync.WaitGroup
	answer := func(what string, on func() error) {
		served.Add(1)
		run(what, func(context.Context) error {
			defer served.Done()
			return on()
		})
	}
	if beyond != nil {
		s.TLSConfig, s.ErrorLog = beyond.tls, beyond.log
		answer("remote api", func() error { return s.ServeTLS(beyond.listener, "", "") })
	}
	answer("api", func() error { return s.Serve(l) })
	return func() {
		routers.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			_ = s.Close() // somebody's answer takes too long
		}
		served.Wait()
	}
}
