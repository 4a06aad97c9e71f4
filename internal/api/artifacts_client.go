package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"

	"abt2.dev"
)

// HasArtifact implements abt2.Service.
func (c *Client) HasArtifact(ctx context.Context, digest string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.base+artifactPath+url.PathEscape(digest), nil)
	if err != nil {
		return false, abt2.Wrap(abt2.CodeInvalid, err, "server %q: is not an address", c.base)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, c.fromWire(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return true, nil
	case resp.StatusCode == http.StatusNotFound && resp.Header.Get(headerErrorCode) == "":
		return false, nil
	}
	return false, c.fromHeader(resp)
}

// Upload implements abt2.Service. It reads body at most to its end, and not
// after it has returned.
func (c *Client) Upload(ctx context.Context, a abt2.Artifact, body io.Reader) error {
	query := url.Values{"name": {a.Name}, "format": {string(a.Format)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+artifactPath+url.PathEscape(a.Digest)+"?"+query.Encode(), nil)
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "server %q: is not an address", c.base)
	}
	source := &source{r: body, left: a.Size, closed: make(chan struct{})}
	if a.Size > 0 {
		req.Body, req.ContentLength = source, a.Size
		defer func() { <-source.closed }() // the transport promises to close it
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue") // a refusal comes before the bytes
	resp, err := c.http.Do(req)
	if err != nil {
		if failure := source.failure(); failure != nil {
			return abt2.Wrap(abt2.CodeFailed, failure, "%s: cannot be read", a.Name)
		}
		return c.fromWire(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return c.fromBody(resp)
}

var errTooLong = errors.New("it is longer than it was when the upload began")

// source is an upload's body as the transport sees it. A body that is longer
// than it was said to be fails before its last announced byte is handed on:
// afterwards the service may already have answered.
type source struct {
	r      io.Reader
	left   int64 // announced, and not handed on yet
	closed chan struct{}
	once   sync.Once

	mu  sync.Mutex
	err error // why r could not be read
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left <= 0 && err == nil {
		var more [1]byte
		if _, err = io.ReadFull(s.r, more[:]); err == nil {
			s.left = -1
		}
	}
	if s.left < 0 {
		n, err = 0, errTooLong
	}
	if err != nil && err != io.EOF {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
