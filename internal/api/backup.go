package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"connectrpc.com/connect"

	"abt2.dev"
)

const (
	backupPath = "/v1/backup"
	backupType = "application/x-tar"
)

// backups answers with a backup. operator.proto documents it.
type backups struct {
	svc    abt2.Service
	log    *slog.Logger
	errors *connect.ErrorWriter
}

// ServeHTTP streams. What goes wrong after the first byte is told in trailers.
func (b *backups) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", backupType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Trailer", headerErrorCode+", "+headerErrorMessage)
	out := &begun{w: w}
	err := (&watch{b.log}).call(r.Context(), "GET "+backupPath, func() error { return b.svc.Backup(r.Context(), out) })
	switch {
	case err == nil:
	case !out.yes:
		w.Header().Del("Trailer")
		writeError(b.errors, w, r, err)
	case !headError(w, err):
		panic(http.ErrAbortHandler) // an answer that is not whole must not look so
	}
}

// begun knows whether an answer has begun.
type begun struct {
	w   io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}

// headError puts an error into headers, or trailers, if it is one of ours.
func headError(w http.ResponseWriter, err error) bool {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return false
	}
	e := detailOf(ce)
	if e == nil {
		return false
	}
	w.Header().Set(headerErrorCode, string(e.Code))
	w.Header().Set(headerErrorMessage, url.PathEscape(e.Message))
	return true
}

// Backup implements abt2.Service.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+backupPath, nil)
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "server %q: is not an address", c.base)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.fromWire(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return c.fromBody(resp)
	case resp.Header.Get("Content-Type") != backupType:
		return c.stranger(errors.New(resp.Header.Get("Content-Type")))
	}
	out := &outcome{w: w}
	if _, err := io.CopyBuffer(out, resp.Body, make([]byte, 256<<10)); err != nil {
		switch {
		case out.err != nil:
			return abt2.Wrap(abt2.CodeFailed, out.err, "the backup cannot be written")
		case ctx.Err() != nil:
			return abt2.Wrap(abt2.CodeFailed, context.Cause(ctx), "given up")
		}
		return abt2.Wrap(abt2.CodeUnavailable, err, "the server at %s went away in the middle of the backup; repeat it", c.base)
	}
	if resp.Trailer.Get(headerErrorCode) != "" {
		return c.fromHeader(&http.Response{Status: resp.Status, Header: resp.Trailer})
	}
	return nil
}

// outcome remembers that it was writing, not reading, that failed.
type outcome struct {
	w   io.Writer
	err error
}

func (o *outcome) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.err = err
	return n, err
}
