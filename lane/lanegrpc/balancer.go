package lanegrpc

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"

	"abt2.dev/lane/route"
)

const policyName = "abt2_environment"

// gRPC finds balancers by name in a map of its own, which may be written only
// while the program is being initialised: it is read without a lock by every
// connection that is made. So this cannot wait for DialOptions. What is
// registered knows nothing; a connection's Lane comes with its resolver's state.
func init() { balancer.Register(policyBuilder{}) }

type policyBuilder struct{}

func (policyBuilder) Name() string { return policyName }

func (policyBuilder) Build(cc balancer.ClientConn, _ balancer.BuildOptions) balancer.Balancer {
	return &policy{cc: cc, conns: map[*route.Instance]*conn{}}
}

// connectPatience is how long the confirmation of a table waits for a new
// instance that neither accepts a connection nor refuses it.
const connectPatience = time.Second

// policy is the balancer of one client connection. It is connected to the
// instances of all versions in the table, so that an environment's are connected
// before users are switched to it, and leaves those that leave the table once
// the calls on them are over. gRPC calls it from one goroutine at a time.
type policy struct {
	cc      balancer.ClientConn
	channel *channel // nil: before the first state
	conns   map[*route.Instance]*conn
}

// conn is the connection to one instance.
type conn struct {
	instance *route.Instance
	sub      balancer.SubConn
	state    connectivity.State // TransientFailure lasts until it is Ready again
	err      error              // of the last attempt to connect, if that failed
	trial    context.Context    // of the first attempt
	tried    context.CancelFunc
}

func (p *policy) UpdateClientConnState(s balancer.ClientConnState) error {
	c, ok := s.ResolverState.Attributes.Value(channelKey{}).(*channel)
	if !ok {
		return balancer.ErrBadResolverState
	}
	p.channel = c
	instances := c.lane.Instances(c.module)
	wanted := make(map[*route.Instance]bool, len(instances))
	for _, in := range instances {
		wanted[in] = true
		if p.conns[in] != nil {
			continue
		}
		if err := p.connect(in); err != nil {
			return err // the client is being closed
		}
	}
	for in, c := range p.conns {
		if !wanted[in] {
			delete(p.conns, in)
			p.leave(c)
		}
	}
	p.publish()
	return nil
}

func (p *policy) connect(in *route.Instance) (err error) {
	c := &conn{instance: in, state: connectivity.Connecting}
	//lint:ignore SA1019 it is marked because several addresses will go; there is no other way to connect
	c.sub, err = p.cc.NewSubConn([]resolver.Address{{Addr: in.Address}}, balancer.NewSubConnOptions{
		StateListener: func(s balancer.SubConnState) { p.changed(c, s) },
	})
	if err != nil {
		return err
	}
	c.trial, c.tried = context.WithTimeout(context.Background(), connectPatience)
	p.conns[in] = c
	c.sub.Connect()
	return nil
}

// leave lets the calls on a connection end; no other will be sent there.
func (p *policy) leave(c *conn) {
	c.tried()
	c.sub.Shutdown()
}

// changed takes the state of a connection.
func (p *policy) changed(c *conn, s balancer.SubConnState) {
	if p.conns[c.instance] != c {
		return // it has been left
	}
	switch s.ConnectivityState {
	case connectivity.Ready:
		c.state, c.err = connectivity.Ready, nil
		c.tried()
	case connectivity.TransientFailure:
		c.state, c.err = connectivity.TransientFailure, s.ConnectionError
		c.tried()
	case connectivity.Idle:
		c.sub.Connect()
		fallthrough
	case connectivity.Connecting:
		if c.state == connectivity.Ready {
			c.state = connectivity.Connecting
		}
	}
	p.publish()
}

// publish gives gRPC a picker of the connections as they are now, which also
// makes the calls that wait be picked for again.
func (p *policy) publish() {
	out := &picker{conns: make(map[*route.Instance]choice, len(p.conns))}
	var trials []context.Context
	state := connectivity.TransientFailure
	for in, c := range p.conns {
		out.conns[in] = choice{sub: c.sub, state: c.state, err: c.err, to: metadata.MD{toKey: in.To}}
		if c.trial.Err() == nil {
			trials = append(trials, c.trial)
		}
		if c.state == connectivity.Ready || c.state == connectivity.Connecting && state != connectivity.Ready {
			state = c.state
		}
	}
	p.channel.setTrials(trials)
	p.cc.UpdateState(balancer.State{ConnectivityState: state, Picker: out})
}

// ResolverError is not called: the resolver reports none where this balancer is used.
func (p *policy) ResolverError(error) {}

// UpdateSubConnState is not called: connections have listeners of their own.
func (p *policy) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

// ExitIdle has nothing to do: a connection that is lost is made again at once.
func (p *policy) ExitIdle() {}

func (p *policy) Close() {
	for _, c := range p.conns {
		p.leave(c)
	}
	clear(p.conns)
	if p.channel != nil {
		p.channel.setTrials(nil)
	}
}

// picker chooses connections for calls. It is immutable; it looks at the newest
// table for each call, so that a table is in use as soon as it is applied.
type picker struct {
	conns map[*route.Instance]choice
}

// choice is a connection as it was when the picker was made.
type choice struct {
	sub   balancer.SubConn
	state connectivity.State
	err   error
	to    metadata.MD // whom calls on it are addressed to
}

func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	c, ok := info.Ctx.Value(callKey{}).(*call)
	if !ok {
		return balancer.PickResult{}, errNoInterceptor
	}
	v, err := c.Resolve()
	if err != nil {
		return balancer.PickResult{}, c.cannotRoute(err)
	}
	pick, ok := v.Pick(func(in *route.Instance) bool {
		return p.conns[in].state == connectivity.Ready && !c.hasTried(in)
	})
	if !ok {
		return balancer.PickResult{}, p.nonePicked(v, c)
	}
	c.picked(pick)
	chosen := p.conns[pick.Instance]
	return balancer.PickResult{SubConn: chosen.sub, Done: c.done, Metadata: chosen.to}, nil
}

// nonePicked tells whether there is something to wait for.
func (p *picker) nonePicked(v *route.Version, c *call) error {
	var failed error
	for _, in := range v.Instances {
		if c.hasTried(in) {
			continue
		}
		at, known := p.conns[in]
		if !known || at.state != connectivity.TransientFailure {
			return balancer.ErrNoSubConnAvailable // it is being connected to, or soon will be
		}
		failed = fmt.Errorf("%s/%s at %s: %w", in.Version, in.ID, in.Address, at.err)
	}
	if failed == nil || c.attempts > 0 {
		return c.noOther()
	}
	return failed
}
