package lanegrpc

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"abt2.dev/lane"
	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// maxAttempts bounds how many instances one call is sent to.
const maxAttempts = 4

var (
	errNoInterceptor = status.Error(codes.Internal, "lanegrpc: the call has not passed the interceptors of DialOptions")
	errNoOther       = status.Error(codes.Unavailable, "lanegrpc: no other instance to try")
)

// call is one call on its way, which the picker finds in its context. The
// interceptor, the picker and Done take turns: gRPC makes one attempt at a time.
type call struct {
	lane.Call
	done func(balancer.DoneInfo) // ended, bound once for all attempts

	pick       route.Pick
	refused    bool  // the last attempt was, before a handler ran
	unanswered bool  // the last attempt's connection was lost before a byte of an answer
	repeated   bool  // the next attempt is not the first
	unroutable error // why nothing was picked last
	exhausted  bool  // nothing was picked because all have been tried

	attempts int // that failed so
	tried    [maxAttempts]*route.Instance
}

type callKey struct{}

// begin begins a call and returns its context, which carries its stamp.
func (c client) begin(ctx context.Context, module string) (*call, context.Context, error) {
	out := &call{}
	var err error
	if out.Call, ctx, err = c.lane.Call(ctx, module); err != nil {
		return nil, nil, unavailable(ctx, err)
	}
	out.done = out.ended
	return out, context.WithValue(out.stamp(ctx), callKey{}, out), nil
}

// stamp puts the environment into the outgoing metadata. Whom the call is
// addressed to is added by the picker.
func (c *call) stamp(ctx context.Context) context.Context {
	if c.Environment() == 0 {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = make(metadata.MD, 2)
	}
	env, baggage := c.Stamp(ctx, md[baggageKey])
	md[envKey] = env
	md[baggageKey] = []string{baggage}
	delete(md, toKey)
	return metadata.NewOutgoingContext(ctx, md)
}

func (c *call) hasTried(in *route.Instance) bool { return slices.Contains(c.tried[:c.attempts], in) }

// picked notes the instance of the next attempt.
func (c *call) picked(pick route.Pick) {
	c.pick, c.unroutable, c.exhausted = pick, nil, false
	if c.repeated {
		c.Again()
	}
	c.refused, c.unanswered, c.repeated = false, false, false
}

// ended takes what gRPC tells of an attempt.
func (c *call) ended(info balancer.DoneInfo) {
	c.pick.Done()
	c.refused = slices.Equal(info.Trailer[refusedKey], []string{stamp.RefusedTo})
	c.unanswered = !info.BytesReceived && status.Code(info.Err) == codes.Unavailable
}

// again reports whether another instance may be tried, and will not choose this
// one again: if the last one was someone else, or if nobody has answered a method
// that may be called twice.
func (c *call) again(ctx context.Context, method string) bool {
	if c.attempts == maxAttempts-1 || ctx.Err() != nil || !c.refused && !(c.unanswered && idempotent(method)) {
		return false
	}
	c.tried[c.attempts] = c.pick.Instance
	c.attempts++
	c.repeated = true
	return true
}

// idempotent reports whether a method's idempotency_level says that it may be
// called twice for one call. method is /SERVICE/METHOD.
func idempotent(method string) bool {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return false // not of generated code
	}
	options, ok := found.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}

// cannotRoute is the picker's answer where there is no version to call. A call
// that waits for ready waits for an instance, but not for an environment.
func (c *call) cannotRoute(err error) error {
	c.refused, c.unanswered, c.unroutable = false, false, err
	if route.ReasonOf(err) == route.NoInstance {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}

// noOther is the picker's answer where all instances have been tried.
func (c *call) noOther() error {
	c.refused, c.unanswered, c.exhausted = false, false, true
	return errNoOther
}

// explain returns the error that the caller sees for the one of the last
// attempt; before is that of the attempt before, nil if there was none.
func (c *call) explain(ctx context.Context, err, before error) error {
	switch {
	case err != nil && c.exhausted && before != nil:
		return before
	case err != nil && c.unroutable != nil:
		return unavailable(ctx, c.unroutable)
	default:
		return err
	}
}

// unavailable makes an error of lane one of gRPC, which still has it in its chain.
func unavailable(ctx context.Context, err error) error {
	code := codes.Unavailable
	if ctx != nil && ctx.Err() != nil {
		code = status.FromContextError(ctx.Err()).Code()
	}
	return &unroutedError{error: err, code: code}
}

type unroutedError struct {
	error
	code codes.Code
}

func (e *unroutedError) GRPCStatus() *status.Status { return status.New(e.code, e.Error()) }
func (e *unroutedError) Unwrap() error              { return e.error }
