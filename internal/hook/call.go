package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// mostAnswer bounds, in bytes, what is read of an answer.
const mostAnswer = 64 << 10

func newClient() *http.Client {
	return &http.Client{
		// Each call is on its own: the next comes hours later.
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call posts the plan. An answer of 2xx is a yes. Errors do not show the
// address, which may hold a secret.
func (h *Hooks) call(ctx context.Context, address string, plan []byte, out io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(plan))
	if err != nil {
		return fmt.Errorf("it cannot be called: %w", bare(err))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "abt2")
	res, err := h.client.Do(r)
	if err != nil {
		return fmt.Errorf("it cannot be called: %w", bare(err))
	}
	defer res.Body.Close()
	if _, err := io.Copy(out, io.LimitReader(res.Body, mostAnswer)); err != nil {
		return fmt.Errorf("its answer broke off: %w", err)
	}
	switch res.StatusCode / 100 {
	case 2:
		return nil
	case 3:
		return fmt.Errorf("it answered %d, and redirects are not followed; set the address that it leads to", res.StatusCode)
	}
	return fmt.Errorf("it answered %d", res.StatusCode)
}

// bare is an error of the HTTP client without the address.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
