package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"abt2.dev/lane/carry"
	"abt2.dev/lane/feedclient"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// Lane is a process's membership in abt2. Its methods may be called from any
// goroutine.
type Lane struct {
	log     *slog.Logger
	self    stamp.To // zero: outside abt2
	module  string
	product string

	static *static // nil: within abt2
	router *route.Router
	client *feedclient.Client
	base   *http.Transport // for module calls, where Transport is given none

	carried   carry.Tracker
	counts    counts
	fetches   fetches
	online    online
	followers followers

	ctx    context.Context // of the lane's goroutines, ended by Close
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// serverGrace is how long Join, having a table from before, waits for a server
// that neither sends one nor refuses the connection.
const serverGrace = time.Second

// Join makes this process a router and returns when it has a table: the
// server's, or, if the server cannot be reached, the one kept from before. With
// neither it goes on trying until ctx ends. Afterwards the Lane rejoins by
// itself whenever the server comes back; Close ends it. Configuration comes
// from the ABT2_ variables that abt2 gives its instances, and from options.
func Join(ctx context.Context, options ...Option) (*Lane, error) {
	cfg, err := newConfig(options)
	if err != nil {
		return nil, err
	}
	l := &Lane{log: cfg.log, module: cfg.module, product: cfg.product, base: newBase()}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if cfg.server == "" {
		l.static = newStatic(cfg.static)
		l.online.is = true
		return l, nil
	}
	l.self = stamp.To{Version: cfg.version, Instance: cfg.instance}
	l.router = route.New()

	arrived := make(chan struct{}, 1) // a table
	failed := make(chan struct{}, 1)  // an attempt to join
	l.client, err = feedclient.New(feedclient.Config{
		Server:     cfg.server,
		Credential: cfg.credential,
		State:      cfg.state,
		Log:        cfg.log,
		Hello: &feedpb.Hello{
			RouterId: cfg.instance, Role: feedpb.Role_ROLE_PROCESS,
			Instance: cfg.instance, Module: cfg.module, Version: cfg.version,
		},
		Table: func(ctx context.Context, t *feedpb.Table) error {
			err := l.apply(t)
			if err == nil {
				l.followers.connected(ctx)
				signal(arrived)
			}
			return err
		},
		Report: l.report,
		Watch:  func(env uint64) { l.carried.Watch(env) },
		Close:  l.carried.Close,
		Connection: func(connected bool, _ error) {
			l.counts.connected.Store(connected)
			if !connected {
				signal(failed)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	l.carried.Drained = func(uint64) { l.client.Report() }

	restored, err := l.client.Restore(ctx)
	if err != nil {
		l.log.Warn("table from before cannot be used", "error", err)
	}
	if restored {
		<-arrived // the old one; wait for the server's
	}
	l.work.Go(func() { _ = l.client.Run(l.ctx) }) // ends with l.ctx or Goodbye; logs what happens before
	if err := await(ctx, restored, arrived, failed); err != nil {
		l.stop()
		return nil, fmt.Errorf("lane: no table from %s: %w", cfg.server, err)
	}
	return l, nil
}

// await waits until there is a table to serve from.
func await(ctx context.Context, restored bool, arrived, failed <-chan struct{}) error {
	var grace <-chan time.Time
	if restored {
		timer := time.NewTimer(serverGrace)
		defer timer.Stop()
		grace = timer.C
	} else {
		failed = nil // nothing to serve from: keep trying
	}
	select {
	case <-arrived:
	case <-failed:
	case <-grace:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// signal leaves a signal in a channel of one slot.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close says goodbye to the server, which will not wait for this process any
// more, and ends the Lane's goroutines. When ctx ends first the goodbye is
// abandoned, and ctx's cause returned. Requests under way are not waited for:
// shut the http.Server down before. Close may be called again.
func (l *Lane) Close(ctx context.Context) error {
	var err error
	if l.client != nil {
		err = l.client.Goodbye(ctx)
	}
	l.stop()
	return err
}

func (l *Lane) stop() {
	l.cancel()
	l.fetches.close()
	l.work.Wait()
	l.base.CloseIdleConnections()
}

// apply takes a table from the server. One that is older than what a Fetch has
// brought in the meantime is not an error.
func (l *Lane) apply(t *feedpb.Table) error {
	if err := l.router.Apply(t); err != nil && !errors.Is(err, route.ErrOlder) {
		return err
	}
	l.online.set(l.namedOnline)
	l.followers.changed()
	return nil
}
