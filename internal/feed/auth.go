package feed

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// Kind is what a credential was given to.
type Kind string

// The kinds of an Identity.
const (
	KindEdge     Kind = "edge"
	KindInstance Kind = "instance"
)

// Identity is whom a credential was given to.
type Identity struct {
	Kind Kind
	ID   string // of the edge or the instance
}

// Authenticator knows the credentials of routers. It may be called from any goroutine.
type Authenticator interface {
	// Authenticate returns whom a bearer token belongs to, or an error of
	// CodeUnauthorized.
	Authenticate(ctx context.Context, bearer string) (Identity, error)
}

// AuthenticatorFunc makes an Authenticator of a function.
type AuthenticatorFunc func(ctx context.Context, bearer string) (Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, bearer string) (Identity, error) {
	return f(ctx, bearer)
}

var (
	errNoCredential = connect.NewError(connect.CodeUnauthenticated, errors.New("no credential: send authorization: Bearer …"))
	errJSON         = connect.NewError(connect.CodeUnimplemented, errors.New("a stream of the feed is binary protobuf, not JSON"))
	errHelloAgain   = connect.NewError(connect.CodeInvalidArgument, errors.New("a second hello: a router that wants to be another joins with another stream"))
	errHello        = connect.NewError(connect.CodeInvalidArgument, errors.New("the first message must be a hello"))
	errReplaced     = connect.NewError(connect.CodeAlreadyExists, errors.New("another stream has joined under the same router id"))
	errForgotten    = connect.NewError(connect.CodeAborted, errors.New("the router has been forgotten; join again"))
	errClosed       = connect.NewError(connect.CodeUnavailable, errors.New("the server is stopping"))
	errNoTable      = connect.NewError(connect.CodeUnavailable, errors.New("no table has been published yet"))
)

func (f *Feed) authenticate(ctx context.Context, h http.Header) (Identity, error) {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Identity{}, errNoCredential
	}
	id, err := f.auth.Authenticate(ctx, token)
	switch {
	case err == nil:
		return id, nil
	case abt2.CodeOf(err) == abt2.CodeUnauthorized:
		return Identity{}, connect.NewError(connect.CodeUnauthenticated, err)
	default:
		return Identity{}, connect.NewError(connect.CodeUnavailable, err)
	}
}

// maxEpoch bounds the name of an epoch, which is remembered of every router.
const maxEpoch = 64

// checkHello refuses a hello that claims to be anybody but the identity, or is malformed.
func checkHello(h *feedpb.Hello, id Identity) error {
	refuse := func(code connect.Code, format string, args ...any) error {
		return connect.NewError(code, abt2.Errorf(abt2.CodeInvalid, format, args...))
	}
	if h.GetProtocol() != protocol {
		return refuse(connect.CodeFailedPrecondition, "protocol %d: this server speaks protocol %d", h.GetProtocol(), protocol)
	}
	want := KindInstance
	switch h.GetRole() {
	case feedpb.Role_ROLE_EDGE:
		want = KindEdge
	case feedpb.Role_ROLE_PROCESS:
		if h.GetInstance() != h.GetRouterId() {
			return refuse(connect.CodeInvalidArgument, "router %q: a process joins under its instance's id, %q", h.GetRouterId(), h.GetInstance())
		}
		v, err := abt2.ParseVersionID(h.GetVersion())
		if err != nil {
			return connect.NewError(connect.CodeInvalidArgument, err)
		}
		if string(v.Module) != h.GetModule() {
			return refuse(connect.CodeInvalidArgument, "version %q is not of module %q", h.GetVersion(), h.GetModule())
		}
	default:
		return refuse(connect.CodeInvalidArgument, "role %s: must be edge or process", h.GetRole())
	}
	if id.Kind != want || id.ID != h.GetRouterId() {
		return refuse(connect.CodePermissionDenied, "the credential is %s %q's, not %s %q's", id.Kind, id.ID, want, h.GetRouterId())
	}
	m := h.GetApplied()
	switch {
	case len(m.GetEpoch()) > maxEpoch:
		return refuse(connect.CodeInvalidArgument, "applied: an epoch of %d bytes: must be at most %d", len(m.GetEpoch()), maxEpoch)
	case m.GetEpoch() == "" && m.GetRevision() != 0:
		return refuse(connect.CodeInvalidArgument, "applied: revision %d without its epoch", m.GetRevision())
	}
	return nil
}
