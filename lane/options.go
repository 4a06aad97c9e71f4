package lane

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"

	"abt2.dev/lane/stamp"
)

// Option overrides what Join reads from the environment.
type Option func(*config)

// Server sets the server's address, ABT2_SERVER, and the credential to join it
// with, ABT2_CREDENTIAL.
func Server(address, credential string) Option {
	return func(c *config) { c.server, c.credential = address, credential }
}

// Identity sets who this process is: a module, ABT2_MODULE, its version like
// order@3, ABT2_VERSION, the instance, ABT2_INSTANCE, and the module's home
// product, ABT2_PRODUCT.
func Identity(module, version, instance, product string) Option {
	return func(c *config) {
		c.module, c.version, c.instance, c.product = module, version, instance, product
	}
}

// State sets the folder that keeps the last table, ABT2_STATE, so that the
// process can start while the server is away. Empty: nothing is kept.
func State(folder string) Option { return func(c *config) { c.state = folder } }

// Static sets the addresses of modules for use outside abt2, as ABT2_STATIC
// does: order=127.0.0.1:9001,stock=127.0.0.1:9002, a module with several
// addresses being named several times. It has no effect where a server is set.
func Static(addresses map[string][]string) Option {
	return func(c *config) { c.static = maps.Clone(addresses) }
}

// Logger sets where the lane logs. Default: slog.Default().
func Logger(log *slog.Logger) Option { return func(c *config) { c.log = log } }

type config struct {
	server, credential                 string
	module, version, instance, product string
	state                              string
	static                             map[string][]string
	log                                *slog.Logger
}

func newConfig(options []Option) (config, error) {
	c := config{
		server:     os.Getenv("ABT2_SERVER"),
		credential: os.Getenv("ABT2_CREDENTIAL"),
		module:     os.Getenv("ABT2_MODULE"),
		version:    os.Getenv("ABT2_VERSION"),
		instance:   os.Getenv("ABT2_INSTANCE"),
		product:    os.Getenv("ABT2_PRODUCT"),
		state:      os.Getenv("ABT2_STATE"),
	}
	for _, o := range options {
		o(&c)
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.server == "" && c.static == nil {
		static, err := parseStatic(os.Getenv("ABT2_STATIC"))
		if err != nil {
			return config{}, err
		}
		c.static = static
	}
	return c, c.check()
}

func (c *config) check() error {
	if c.server == "" {
		return nil
	}
	for name, value := range map[string]string{
		"ABT2_MODULE": c.module, "ABT2_VERSION": c.version, "ABT2_INSTANCE": c.instance, "ABT2_PRODUCT": c.product,
	} {
		if value == "" {
			return fmt.Errorf("lane: %s is empty though ABT2_SERVER is set; abt2 sets both, or use lane.Identity", name)
		}
	}
	self, err := stamp.ParseTo(c.version + "/" + c.instance)
	if err != nil {
		return fmt.Errorf("lane: ABT2_VERSION and ABT2_INSTANCE: %w", err)
	}
	if !strings.HasPrefix(self.Version, c.module+"@") {
		return fmt.Errorf("lane: ABT2_VERSION %q is not a version of ABT2_MODULE %q", c.version, c.module)
	}
	return nil
}

func parseStatic(s string) (map[string][]string, error) {
	out := map[string][]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		module, address, ok := strings.Cut(pair, "=")
		if !ok || address == "" || stamp.Module(module) == "" {
			return nil, fmt.Errorf("lane: ABT2_STATIC %q: must be MODULE=HOST:PORT, separated by commas", pair)
		}
		out[module] = append(out[module], address)
	}
	return out, nil
}
