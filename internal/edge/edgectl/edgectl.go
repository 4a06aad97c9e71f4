// Package edgectl is what an edge process and its keeper say to one another:
// plain HTTP over a Unix socket in the edge's folder, which only its user may
// open.
package edgectl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"abt2.dev"
)

// The files in an edge's folder that its keeper knows.
const (
	SocketFile = "edge.sock" // leads to the socket of the process that is the edge
	LockFile   = "edge.lock" // locked for as long as an edge runs on the folder
)

// Description is who an edge process is and what it serves.
type Description struct {
	ID      string    `json:"id"`
	Boot    string    `json:"boot"`    // of the machine: a process of another boot is not this one
	Started time.Time `json:"started"` // with ID and Boot the identity of the process
	Version string    `json:"version"` // of the program
	Args    []string  `json:"args"`    // it was started with
	// Program is the ProgramID of the program at the process's start, Settings the
	// digest of what it was told; empty: not known.
	Program  string `json:"program,omitempty"`
	Settings string `json:"settings,omitempty"`
	// Addresses are where users are served, as host:port; the first is that of
	// Config.Listen.
	Addresses []string `json:"addresses"`
	URL       string   `json:"url"` // base of links that people open
	// Mark is that of the routes in use; zero: nothing is served yet.
	Mark      abt2.Mark   `json:"mark"`
	Connected bool        `json:"connected"` // to the server
	Names     []NameState `json:"names"`     // sorted by module
}

// NameState is an unversioned name in an edge process.
type NameState struct {
	abt2.Name
	Error string `json:"error,omitempty"` // why nobody listens there; empty: the edge does
}

// Client asks the edge of one folder. Its methods may be called from several
// goroutines. Where no edge answers, errors have CodeUnavailable.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient returns a client for the edge of a folder. It connects when asked.
func NewClient(dir string) *Client {
	socket := filepath.Join(dir, SocketFile)
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // an edge that ends must not have to wait for its keeper
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Describe returns who runs there.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	var d Description
	body, err := c.read(ctx, http.MethodGet, "/describe")
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return d, abt2.Wrap(abt2.CodeFailed, err, "the edge in %s describes itself unreadably", c.dir)
	}
	return d, nil
}

// Metrics returns the edge's metrics in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.read(ctx, http.MethodGet, "/metrics")
}

// Stop makes the edge finish what it is at, for a bounded time, and end. It
// returns when the edge has begun to; Wait tells when it has ended.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.read(ctx, http.MethodPost, "/stop")
	return err
}

// Wait blocks until the process that is the edge ends, or has handed over to
// another. It returns nil then, and when there is none; an error is that of the
// context.
func (c *Client) Wait(ctx context.Context) error {
	res, err := c.do(ctx, http.MethodGet, "/wait")
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body) // ends with the process
		res.Body.Close()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_ = err // whatever broke the connection: nobody is there any more, or nobody was
	return nil
}

func (c *Client) read(ctx context.Context, method, path string) ([]byte, error) {
	res, err := c.do(ctx, method, path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "the edge in %s broke off its answer", c.dir)
	}
	return body, nil
}

func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://edge"+path, nil)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "asking the edge for %s", path)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "no edge answers in %s", c.dir)
	}
	if res.StatusCode/100 != 2 {
		res.Body.Close()
		return nil, abt2.Wrap(abt2.CodeFailed, fmt.Errorf("status %s", res.Status), "the edge in %s refused %s", c.dir, path)
	}
	return res, nil
}

// ProgramID tells one program file from another, also from what was at the same
// path before. Empty: there is none.
func ProgramID(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	inode := uint64(0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprintf("%d-%d-%d", inode, info.Size(), info.ModTime().UnixNano())
}
