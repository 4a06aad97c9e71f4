package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
)

// watch stands around every call: a panic becomes an error, an error becomes
// one for the wire, and each call is a line at debug. Nothing of a request's
// headers is logged.
type watch struct{ log *slog.Logger }

var _ connect.Interceptor = (*watch)(nil)

func (i *watch) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		var resp connect.AnyResponse
		err := i.call(ctx, req.Spec().Procedure, func() (err error) {
			resp, err = next(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}

func (i *watch) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return i.call(ctx, conn.Spec().Procedure, func() error { return next(ctx, conn) })
	}
}

func (i *watch) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next // serves handlers only
}

// call does what is asked and accounts for it. It returns nil or a *connect.Error.
func (i *watch) call(ctx context.Context, what string, do func() error) (err error) {
	start := time.Now()
	defer func() {
		if r := recover(); r != nil {
			if r == http.ErrAbortHandler { // net/http's own way to end an answer
				panic(r)
			}
			i.log.ErrorContext(ctx, "defect: panic", "call", what, "panic", r, "stack", string(debug.Stack()))
			err = withDetail(connect.CodeInternal, abt2.Errorf(abt2.CodeInternal, "the server failed; its log says why"))
		}
		code := "ok"
		if err != nil {
			code = connect.CodeOf(err).String()
		}
		i.log.DebugContext(ctx, "call", "call", what, "identity", abt2.IdentityOf(ctx), "code", code, "duration", time.Since(start))
	}()
	if err := do(); err != nil {
		if ce, ok := err.(*connect.Error); ok { // Connect's own, as for a message it cannot read
			return ce
		}
		return toWire(ctx, i.log, err)
	}
	return nil
}
