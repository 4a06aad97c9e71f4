// Package lanegrpc keeps gRPC calls within the environment that a request was
// stamped with, as lane's Transport and Handler do for HTTP.
//
//	conn, err := grpc.NewClient("abt2:///order", lanegrpc.DialOptions(l)...)
//	server := grpc.NewServer(lanegrpc.ServerOptions(l)...)
//
// Calls on conn that are made with a handler's context reach the version of
// order that the context's environment names.
package lanegrpc

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"abt2.dev/lane"
)

// Metadata keys: the headers of package stamp as gRPC writes them.
const (
	envKey     = "abt2-env"
	toKey      = "abt2-to"
	refusedKey = "abt2-refused" // in trailers
	probeKey   = "abt2-probe"
	baggageKey = "baggage"
)

// How long it takes until a connection that failed is tried again, from the
// first failure to the last, and how long one attempt may take: the table
// holds healthy instances only, so none is given up for long.
const (
	firstBackoff   = 100 * time.Millisecond
	lastBackoff    = 5 * time.Second
	connectTimeout = 5 * time.Second
)

// DialOptions make a client connection whose target is abt2:///MODULE lead to
// the instances of a module: each call to one of the version that its context's
// environment names, or, without one, the environment that names this process's
// own version. Outside abt2 its calls take the module's static addresses in
// turn. Connections with other targets are left as they are.
//
// The connection stays connected to the instances of all versions in the table,
// whether or not calls are made, until it is closed; it connects with the first
// call, or with its Connect method. Instances are called without TLS and without
// a proxy; options after these replace that, but not the balancing: a default
// service config has no effect.
//
// A call that cannot be routed fails with codes.Unavailable and has a
// *route.Error in its chain. While no connection to the version's instances
// stands, calls wait for one; once all have failed, they fail with
// codes.Unavailable, unless they wait for ready.
//
// A unary call that the receiver refused because it was addressed to someone
// else is made again at another instance. So is a stream, as long as nothing
// was received on it and the caller has sent nothing: or, where the server alone
// streams, nothing but the request. The same goes for a method whose
// idempotency_level in its proto file is IDEMPOTENT or NO_SIDE_EFFECTS and whose
// connection is lost before a byte of the answer has come, as when an instance is
// killed. A call that gRPC knows not to have been processed, gRPC itself makes
// again, once. Any other call is made once only.
func DialOptions(l *lane.Lane) []grpc.DialOption {
	c := client{l}
	return []grpc.DialOption{
		grpc.WithResolvers(resolverBuilder{l}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0), // an idle client would give up its connections
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastBackoff},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
}

// ServerOptions make a server serve each call within its environment, which is
// in the handler's context, for connections of DialOptions and for lane's
// Transport to go on with, and in the context's OpenTelemetry baggage. A call
// without a stamp gets the environment that names this process's own version.
//
// When the environment retires while a handler is still at work, after everybody
// has had time to finish, the handler's context is canceled with the cause
// lane.ErrRetired, and what it sends fails; a handler that waits to receive must
// watch the context. The error it then returns reaches the caller as
// codes.Unavailable.
//
// Calls that no handler sees: a malformed stamp (codes.InvalidArgument), one
// addressed to another version or instance (codes.Unavailable with trailer
// abt2-refused: to), one without a stamp while no environment in use names this
// version (codes.Unavailable). Health checks (service grpc.health.v1.Health)
// without a stamp are served without an environment.
func ServerOptions(l *lane.Lane) []grpc.ServerOption {
	s := server{l}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	}
}
