package server

import (
	"cmp"
	"context"
	"net"
	"os"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/all"
	"abt2.dev/internal/driver/navi"
	"abt2.dev/lane/zookeeper"
)

// The registries that callers outside of abt2 can find instances in.
const (
	RegistryBuiltin = "builtin"
	RegistryNavi    = "navi"
)

// ZooKeeper is the ensemble that a server works with.
type ZooKeeper struct {
	Addresses []string // host:port of its servers
	Session   time.Duration
	Digest    string // user:password, a secret; empty: everybody may change what is written
}

func (c *Config) checkRegistry() error {
	c.Registry = cmp.Or(c.Registry, RegistryBuiltin)
	switch {
	case c.Registry != RegistryBuiltin && c.Registry != RegistryNavi:
		return abt2.Errorf(abt2.CodeInvalid, "--registry %q: is none that we drive; there are %s and %s", c.Registry, RegistryBuiltin, RegistryNavi)
	case c.Registry == RegistryNavi && len(c.ZooKeeper.Addresses) == 0:
		return abt2.Errorf(abt2.CodeInvalid, "--zookeeper %q: --registry=%s needs one", "", RegistryNavi)
	}
	if c.Advertise == "" {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(c.Advertise, "0"))
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "--advertise %q: instances cannot listen there; name an address of this machine", c.Advertise)
	}
	return l.Close()
}

// claimLimit is how long a server that starts waits for its ZooKeeper, to find
// out whether the prefix is another's. It starts without it rather than not at all.
const claimLimit = 5 * time.Second

// withRegistry adds the registry of the configuration to the built-in one, which
// callers on this machine go on using, and runs it.
func withRegistry(ctx context.Context, c Config, owner string, builtin abt2.Registry, holders navi.Holders, run func(string, func(context.Context) error)) (abt2.Registry, error) {
	if c.Registry != RegistryNavi {
		return builtin, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "this machine has no name to write into ZooKeeper")
	}
	r, err := navi.New(navi.Config{
		ZooKeeper: zookeeper.Config{
			Addresses: c.ZooKeeper.Addresses, SessionTimeout: c.ZooKeeper.Session, Digest: c.ZooKeeper.Digest, Log: c.Log,
		},
		Prefix: c.NaviPrefix, Owner: owner, Host: host, Holders: holders, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	claim, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	switch err := r.Claim(claim); {
	case abt2.CodeOf(err) == abt2.CodeUnavailable:
		c.Log.Warn("ZooKeeper does not answer; what is registered there stays as it is until it does", "error", err)
	case err != nil:
		r.Close()
		return nil, err
	}
	run("registry", func(ctx context.Context) error {
		defer r.Close()
		return r.Run(ctx)
	})
	return all.Registry(builtin, r), nil
}
