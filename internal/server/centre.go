package server

import (
	"context"
	"net"
	"net/http"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/disconf"
)

// The config centres.
const (
	CentreBuiltin = "builtin" // the feed alone
	CentreDisconf = "disconf"
)

// Disconf says how values are published to clients of disconf.
type Disconf struct {
	Listen  string // where they fetch values, HOST:PORT; empty: nowhere
	Prefix  string // of their ZooKeeper nodes; empty: disconf.DefaultPrefix
	Version string // that they are configured with
	Env     string
	Modules bool // one item a module, too
	// WebURL is where an existing disconf-web is, which they fetch values from then;
	// empty: none. The password is a secret.
	WebURL, WebUser, WebPassword string
}

func (c *Config) checkCentre() error {
	switch c.ConfigCentre {
	case "", CentreBuiltin:
		if c.Disconf != (Disconf{}) {
			return abt2.Errorf(abt2.CodeInvalid, "--disconf-listen %q and the other settings of disconf: are for --config-centre=%s alone; remove them", c.Disconf.Listen, CentreDisconf)
		}
	case CentreDisconf:
		if len(c.ZooKeeper.Addresses) == 0 {
			return abt2.Errorf(abt2.CodeInvalid, "--zookeeper %q: --config-centre=%s needs a ZooKeeper, like 10.0.0.1:2181,10.0.0.2:2181", "", CentreDisconf)
		}
		if c.Disconf.WebURL != "" && c.Disconf.Listen != "" {
			return abt2.Errorf(abt2.CodeInvalid, "--disconf-listen %q: clients fetch values from disconf-web %s; remove one of them", c.Disconf.Listen, c.Disconf.WebURL)
		}
		if c.Disconf.Prefix == "" {
			c.Disconf.Prefix = disconf.DefaultPrefix
		}
	default:
		return abt2.Errorf(abt2.CodeInvalid, "--config-centre %q: is none that we drive; there are %s and %s", c.ConfigCentre, CentreBuiltin, CentreDisconf)
	}
	return nil
}

// startCentre returns the config centre of a configuration, nil if there is none,
// and what ends it.
func startCentre(ctx context.Context, c Config, owner string, run func(string, func(context.Context) error)) (centre abt2.ConfigCentre, end func(), err error) {
	if c.ConfigCentre != CentreDisconf {
		return nil, func() {}, nil
	}
	d, err := disconf.Open(disconf.Config{
		ZooKeeper: c.ZooKeeper.Addresses, Prefix: c.Disconf.Prefix, Version: c.Disconf.Version, Env: c.Disconf.Env, Owner: owner, Log: c.Log,
		ModuleItems: c.Disconf.Modules, Web: disconf.Web{URL: c.Disconf.WebURL, User: c.Disconf.WebUser, Password: c.Disconf.WebPassword},
	})
	if err != nil || c.Disconf.Listen == "" {
		return d, func() { d.Close() }, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Disconf.Listen)
	if err != nil {
		d.Close()
		return nil, nil, abt2.Wrap(abt2.CodeFailed, err, "--disconf-listen %q: cannot be listened at", c.Disconf.Listen)
	}
	s := &http.Server{Handler: d.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	served := make(chan struct{})
	run("disconf", func(context.Context) error {
		defer close(served)
		return s.Serve(listener)
	})
	return d, func() {
		_ = s.Close() // every answer is a short one
		<-served
		d.Close()
	}, nil
}
