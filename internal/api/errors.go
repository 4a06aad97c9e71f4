package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

// wireCodes says how each code of ours travels. Callers that know abt2 read the
// ErrorDetail; this is for everybody else.
var wireCodes = map[abt2.Code]connect.Code{
	abt2.CodeInvalid:      connect.CodeInvalidArgument,
	abt2.CodeNotFound:     connect.CodeNotFound,
	abt2.CodeRefused:      connect.CodeFailedPrecondition,
	abt2.CodeDifferences:  connect.CodeFailedPrecondition,
	abt2.CodeConfirm:      connect.CodeFailedPrecondition,
	abt2.CodeOwner:        connect.CodePermissionDenied,
	abt2.CodeUnconfirmed:  connect.CodeAborted,
	abt2.CodeCommitted:    connect.CodeDeadlineExceeded, // as gRPC says: the change may have succeeded nevertheless
	abt2.CodeUnauthorized: connect.CodeUnauthenticated,
	abt2.CodeUnavailable:  connect.CodeUnavailable,
	abt2.CodeFailed:       connect.CodeUnknown,
	abt2.CodeInternal:     connect.CodeInternal,
}

// toWire makes of a service's error what may leave the server: code and
// message. The cause stays behind in the log.
func toWire(ctx context.Context, log *slog.Logger, err error) *connect.Error {
	if ctx.Err() != nil {
		return connect.NewError(connect.CodeCanceled, context.Cause(ctx)) // nobody is listening any more
	}
	var e *abt2.Error
	if !errors.As(err, &e) {
		log.ErrorContext(ctx, "defect: the service returned an error without a code", "err", err)
		e = abt2.Errorf(abt2.CodeInternal, "the server failed; its log says why")
	} else if e.Cause != nil {
		log.InfoContext(ctx, "call failed", "code", e.Code, "message", e.Message, "cause", e.Cause)
	}
	code, ok := wireCodes[e.Code]
	if !ok {
		code = connect.CodeInternal
	}
	return withDetail(code, e)
}

func withDetail(code connect.Code, e *abt2.Error) *connect.Error {
	message := text(e.Message)
	out := connect.NewError(code, errors.New(message))
	if d, err := connect.NewErrorDetail(&abt2v1.ErrorDetail{Code: string(e.Code), Message: message}); err == nil {
		out.AddDetail(d)
	}
	return out
}

// fromWire makes an abt2.Error of what a call from afar returned.
func (c *Client) fromWire(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var e *abt2.Error
	if errors.As(err, &e) {
		return e // from the token source
	}
	if ctx.Err() != nil {
		return abt2.Wrap(abt2.CodeFailed, context.Cause(ctx), "given up")
	}
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return c.unavailable(err) // from plain HTTP: no answer at all
	}
	if e := detailOf(ce); e != nil {
		return e
	}
	if lost(ce) {
		return c.unavailable(err)
	}
	return c.stranger(err) // an answer, but not from a handler of this package
}

// lost tells whether the server, rather than what it answered, is the matter.
func lost(ce *connect.Error) bool {
	return ce.Code() == connect.CodeUnavailable || errors.Is(ce, io.ErrUnexpectedEOF) || errors.As(ce, new(net.Error))
}

// detailOf returns the abt2.Error that travelled with a wire error, or nil.
func detailOf(ce *connect.Error) *abt2.Error {
	for _, d := range ce.Details() {
		if v, err := d.Value(); err == nil {
			if d, ok := v.(*abt2v1.ErrorDetail); ok {
				return abt2.Errorf(abt2.Code(d.GetCode()), "%s", d.GetMessage())
			}
		}
	}
	return nil
}

// fromHeader makes an abt2.Error of an answer to HEAD.
func (c *Client) fromHeader(resp *http.Response) error {
	if code := resp.Header.Get(headerErrorCode); code != "" {
		message, err := url.PathUnescape(resp.Header.Get(headerErrorMessage))
		if err == nil {
			return abt2.Errorf(abt2.Code(code), "%s", message)
		}
	}
	return c.stranger(errors.New(resp.Status))
}

// fromBody makes an abt2.Error of Connect's JSON for an error, which is also
// what answers a refused upload.
func (c *Client) fromBody(resp *http.Response) error {
	var body struct {
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"` // base64 without padding
		} `json:"details"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxMessage)).Decode(&body) == nil {
		for _, d := range body.Details {
			var detail abt2v1.ErrorDetail
			raw, err := base64.RawStdEncoding.DecodeString(d.Value)
			if err == nil && d.Type == string(detail.ProtoReflect().Descriptor().FullName()) && proto.Unmarshal(raw, &detail) == nil {
				return abt2.Errorf(abt2.Code(detail.GetCode()), "%s", detail.GetMessage())
			}
		}
	}
	return c.stranger(errors.New(resp.Status))
}

func (c *Client) stranger(err error) error {
	return abt2.Wrap(abt2.CodeFailed, err, "what answers at %s is not an abt2 server of this release; check ABT2_SERVER", c.base)
}

func (c *Client) unavailable(err error) error {
	var ce *connect.Error
	if errors.As(err, &ce) {
		err = ce.Unwrap() // without Connect's word for the code
	}
	return abt2.Wrap(abt2.CodeUnavailable, err, "no server answers at %s; start one: abt2 server, or name another in ABT2_SERVER", c.base)
}
