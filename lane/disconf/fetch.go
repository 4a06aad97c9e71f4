package disconf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// MaxValue is how long a value may be, in bytes. A longer one is an error.
const MaxValue = 4 << 20

// Folders of keys, in URLs and in ZooKeeper.
const (
	items = "item"
	files = "file"
)

// envelope is disconf's ValueVo. Its fields are pointers, because what lacks
// them is somebody else's answer.
type envelope struct {
	Status  *int    `json:"status"`
	Message string  `json:"message"`
	Value   *string `json:"value"`
}

// ask returns the value of an envelope.
func (c *Client) ask(ctx context.Context, path string, query url.Values) (string, error) {
	body, err := c.get(ctx, path, query)
	if err != nil {
		return "", err
	}
	var v envelope
	switch err := json.Unmarshal(body, &v); {
	case err != nil:
		return "", fmt.Errorf("%s%s: is no answer of disconf's: %w", c.server, path, err)
	case v.Status == nil:
		return "", fmt.Errorf("%s%s: is no answer of disconf's: no status in %.100q", c.server, path, body)
	case *v.Status != 1:
		return "", fmt.Errorf("%s%s: %s", c.server, path, strings.Join(strings.Fields(v.Message), " "))
	case v.Value == nil:
		return "", fmt.Errorf("%s%s: is no answer of disconf's: no value in %.100q", c.server, path, body)
	}
	return *v.Value, nil
}

// fetch returns what the server says that a key's value is.
func (c *Client) fetch(ctx context.Context, folder, name string) (string, error) {
	query := url.Values{"app": {c.config.App}, "version": {c.config.Version}, "env": {c.config.Env}, "key": {name}}
	if folder == items {
		query.Set("type", "1")
		return c.ask(ctx, "/api/config/item", query)
	}
	query.Set("type", "0")
	body, err := c.get(ctx, "/api/config/file", query)
	return string(body), err
}

func (c *Client) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.FetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxValue+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s%s: %w", c.server, path, err)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s%s: status %s", c.server, path, res.Status)
	case len(body) > MaxValue:
		return nil, fmt.Errorf("%s%s: longer than %d bytes", c.server, path, MaxValue)
	}
	return body, nil
}

// checkName refuses names that are no single node of ZooKeeper's.
func checkName(what, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("disconf: %s %q: must be a word without a slash", what, name)
	}
	return nil
}

// errClosed is what values say after Close.
var errClosed = errors.New("disconf: closed")
