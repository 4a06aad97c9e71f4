// Package feedclient is a router's end of the feed: it joins the server, hands
// over what arrives, confirms what has been applied, and rejoins for ever.
package feedclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"abt2.dev/lane/feedpb"
)

// Protocol is the revision of the feed's protocol that this package speaks.
const Protocol = 1

// Config says who joins, and what happens with what arrives. Functions may be
// nil, except the one for what the router's role receives: Routes of edges,
// Table of others. Table, Routes, Served, Watch and Close are called one at a time;
// Report and Connection may be called beside them. Nothing is called before
// Restore or Run, nor after Run has returned.
type Config struct {
	Server     string        // http://host:port, https://host:port, or host:port
	Credential string        // the bearer token; empty sends none
	Hello      *feedpb.Hello // who joins; the client fills in protocol, applied, incarnation and changes
	State      string        // folder, made if absent, that keeps the last whole; empty: nothing is kept
	Log        *slog.Logger  // nil: nothing is logged

	// Table applies a table, which is always whole: of changes the client makes
	// one. It is confirmed to the server when Table returns nil, and refused with
	// the error's text otherwise. Table may keep t, and must not change it.
	Table func(ctx context.Context, t *feedpb.Table) error
	// Routes does the same with what an edge receives.
	Routes func(ctx context.Context, r *feedpb.EdgeRoutes) error
	// Served returns what an edge serves now; nil: nothing yet.
	Served func() *feedpb.EdgeRoutes
	// Report returns what the router observes.
	Report func() *feedpb.Report
	// Watch asks for a call of Client.Report as soon as nothing of the
	// environment is carried.
	Watch func(env uint64)
	// Close asks what is carried of the environment to end.
	Close func(env uint64)
	// Connection tells that the server has accepted the router, or why an
	// attempt to join failed or a session ended.
	Connection func(connected bool, err error)
}

func (c *Config) check() error {
	switch {
	case c.Hello.GetRouterId() == "":
		return errors.New("feedclient: Hello.RouterId is empty: a router needs a durable name")
	case c.Hello.GetRole() == feedpb.Role_ROLE_EDGE && c.Routes == nil:
		return errors.New("feedclient: Routes is nil: an edge must apply routes")
	case c.Hello.GetRole() != feedpb.Role_ROLE_EDGE && c.Table == nil:
		return errors.New("feedclient: Table is nil: a router must apply tables")
	}
	if !strings.Contains(c.Server, "://") {
		c.Server = "http://" + c.Server
	}
	u, err := url.Parse(c.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("feedclient: server %q: must be host:port or http://host:port", c.Server)
	}
	c.Server = u.Scheme + "://" + u.Host
	return nil
}
