package lanegrpc

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/resolver"

	"abt2.dev/lane"
	"abt2.dev/lane/stamp"
)

const scheme = "abt2"

// The service configs that choose how calls are balanced. They come with the
// resolver's state: a default one, given as a dial option, could be replaced by
// accident, and calls would be mixed without a word.
const (
	balancedByEnvironment = `{"loadBalancingConfig":[{"` + policyName + `":{}}]}`
	balancedInTurn        = `{"loadBalancingConfig":[{"round_robin":{}}]}`
)

// moduleOf returns the module that a target of our scheme names; empty: it is
// another's target.
func moduleOf(target string) string {
	name, ours := strings.CutPrefix(target, scheme+":")
	if !ours {
		return ""
	}
	return stamp.Module(strings.TrimPrefix(name, "///"))
}

// resolverBuilder resolves the targets of connections made with a Lane.
type resolverBuilder struct{ lane *lane.Lane }

func (resolverBuilder) Scheme() string { return scheme }

func (b resolverBuilder) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	module := moduleOf(target.String())
	if module == "" {
		return nil, fmt.Errorf("lanegrpc: target %q: must be %s:///MODULE", target.String(), scheme)
	}
	addresses, outside, err := b.lane.StaticAddresses(module)
	switch {
	case err != nil:
		cc.ReportError(err)
		return static{}, nil
	case outside:
		state := resolver.State{ServiceConfig: cc.ParseServiceConfig(balancedInTurn)}
		for _, a := range addresses {
			state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
		}
		return static{}, cc.UpdateState(state)
	}
	c := &channel{lane: b.lane, module: module, cc: cc}
	c.state = resolver.State{
		ServiceConfig: cc.ParseServiceConfig(balancedByEnvironment),
		Attributes:    attributes.New(channelKey{}, c),
	}
	c.stop = b.lane.Follow(c)
	c.Changed()
	return c, nil
}

// static is the resolver outside abt2, where nothing ever changes.
type static struct{}

func (static) ResolveNow(resolver.ResolveNowOptions) {}
func (static) Close()                                {}

// channel is the resolver of one client connection. Its state names no
// addresses: it tells the balancer, which finds the channel in it, to look at
// the Lane's newest table.
type channel struct {
	lane   *lane.Lane
	module string
	cc     resolver.ClientConn
	state  resolver.State
	stop   func() // following the table

	mu     sync.Mutex
	trials []context.Context // each done when a connection stands, has failed, or took too long
}

type channelKey struct{}

// String is how gRPC logs it.
func (c *channel) String() string { return c.module }

func (c *channel) ResolveNow(resolver.ResolveNowOptions) {} // the table comes by itself
func (c *channel) Close()                                { c.stop() }

// Changed returns when the balancer has begun to connect to new instances.
func (c *channel) Changed() { _ = c.cc.UpdateState(c.state) } // fails only without a channel in the state

// Connected waits for the first attempts to connect.
func (c *channel) Connected(ctx context.Context) {
	c.mu.Lock()
	trials := c.trials
	c.mu.Unlock()
	for _, t := range trials {
		select {
		case <-t.Done():
		case <-ctx.Done():
			return
		}
	}
}

func (c *channel) setTrials(trials []context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trials = trials
}
