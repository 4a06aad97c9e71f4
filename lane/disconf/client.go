package disconf

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev/lane/zookeeper"
)

// Config says by whom a program is told values, and which.
type Config struct {
	// Server is disconf's address: HOST:PORT, or a URL without a path.
	Server string
	// App, Version and Env are whose values; as disconf's clients are configured.
	App, Version, Env string
	// Name is what the program is called in ZooKeeper, unique among those with
	// the same values. Default: the host's name, 0, and a random word, as disconf's
	// own client does.
	Name string
	// SessionTimeout is how long after the program's end what it reports vanishes,
	// and how soon a dead connection is noticed. Default: 10 s.
	SessionTimeout time.Duration
	// FetchTimeout bounds one fetch of a value. Default: 5 s.
	FetchTimeout time.Duration
	// Log is told when a value cannot be had, and when it can be again. Default: slog's.
	Log *slog.Logger
}

// Client is told values. Its methods may be called from any goroutine.
type Client struct {
	config     Config
	server     string // URL without a slash at the end
	prefix     string // of the nodes in ZooKeeper
	http       *http.Client
	conn       *zk.Conn
	disconnect func()
	told       *notices
	end        context.CancelFunc
	ended      chan struct{}

	mu     sync.Mutex
	values []*Value
}

// maxNode bounds what is read from ZooKeeper: a node holds up to 1 MB.
const maxNode = 2 << 20

// Open asks the server where its ZooKeeper is and connects to that. Close ends
// the client.
func Open(ctx context.Context, config Config) (*Client, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	hosts, err := c.ask(ctx, "/api/zoo/hosts", nil)
	if err != nil {
		return nil, fmt.Errorf("disconf: %w", err)
	}
	if c.prefix, err = c.ask(ctx, "/api/zoo/prefix", nil); err != nil {
		return nil, fmt.Errorf("disconf: %w", err)
	}
	if !path.IsAbs(c.prefix) || path.Clean(c.prefix) != c.prefix {
		return nil, fmt.Errorf("disconf: %s/api/zoo/prefix: %q is no path in ZooKeeper", c.server, c.prefix)
	}
	servers := strings.FieldsFunc(hosts, func(r rune) bool { return r == ',' || r == ' ' })
	c.conn, c.disconnect, err = zookeeper.Connect(zookeeper.Config{
		Addresses: servers, SessionTimeout: c.config.SessionTimeout, Log: c.config.Log, Buffer: maxNode,
	}, c.told.event)
	if err != nil {
		return nil, fmt.Errorf("disconf: ZooKeeper %q: %w", hosts, err)
	}
	run, end := context.WithCancel(context.Background())
	c.end = end
	go c.run(run)
	return c, nil
}

func newClient(config Config) (*Client, error) {
	for _, word := range []struct{ what, value string }{{"app", config.App}, {"version", config.Version}, {"env", config.Env}} {
		if err := checkName(word.what, word.value); err != nil {
			return nil, err
		}
	}
	if config.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("disconf: no name: %w", err)
		}
		config.Name = host + "_0_" + rand.Text()
	}
	if err := checkName("name", config.Name); err != nil {
		return nil, err
	}
	server := config.Server
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	if u, err := url.Parse(server); err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("disconf: server %q: must be HOST:PORT, or a URL without a path", config.Server)
	}
	config.SessionTimeout = cmp.Or(config.SessionTimeout, 10*time.Second)
	config.FetchTimeout = cmp.Or(config.FetchTimeout, 5*time.Second)
	if config.Log == nil {
		config.Log = slog.Default()
	}
	return &Client{
		config: config, server: strings.TrimRight(server, "/"), told: newNotices(), ended: make(chan struct{}),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}},
	}, nil
}

// Close ends the client, and what it reports in ZooKeeper. Values stay as they
// are, with an error.
func (c *Client) Close() {
	c.end()
	<-c.ended
	c.disconnect()
	c.http.CloseIdleConnections()
	for _, v := range c.all() {
		v.fail(errClosed)
	}
}

// Item returns the value of an item, and keeps it as the server says.
//
// accept is called with each value before it counts; one that it refuses does
// not come into effect and is not reported as such. It may be nil. Item returns
// when the first value is in effect and reported. When ctx ends first, or the
// value cannot be had or is refused, the error says why.
func (c *Client) Item(ctx context.Context, name string, accept func(string) error) (*Value, error) {
	return c.bind(ctx, items, name, accept)
}

// File returns the content of a file, as Item does.
func (c *Client) File(ctx context.Context, name string, accept func(string) error) (*Value, error) {
	return c.bind(ctx, files, name, accept)
}

func (c *Client) bind(ctx context.Context, folder, name string, accept func(string) error) (*Value, error) {
	if err := checkName(folder, name); err != nil {
		return nil, err
	}
	v := &Value{folder: folder, name: name, accept: accept, changed: make(chan struct{})}
	v.node = path.Join(c.prefix, c.config.App+"_"+c.config.Version+"_"+c.config.Env, folder, name)
	if err := c.sync(ctx, v); err != nil {
		return nil, fmt.Errorf("disconf: %s %s: %w", folder, name, err)
	}
	c.mu.Lock()
	c.values = append(c.values, v)
	c.mu.Unlock()
	c.told.mark(v.node) // for what has changed before anybody looked
	return v, nil
}

func (c *Client) all() []*Value {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Value(nil), c.values...)
}

// The waits between attempts to have a value.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// run keeps all values until ctx ends.
func (c *Client) run(ctx context.Context) {
	defer close(c.ended)
	pause := shortestPause
	again := time.NewTimer(0)
	defer again.Stop()
	failed := map[*Value]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-c.told.some:
		}
		dirty, all, lost := c.told.take()
		if all {
			pause = shortestPause // who could not be reached may be there again
		}
		if lost {
			for _, v := range c.all() {
				c.tell(v, errLost)
				failed[v] = true
			}
			continue // until there is a connection again
		}
		for _, v := range c.all() {
			keep, reported := c.sync, dirty[v.child(c.config.Name)]
			v.watched = v.watched && !reported && !all
			switch {
			case all || dirty[v.node] || failed[v]:
			case reported:
				keep = c.report // somebody else's change, or our own, whose watch is set anew
			default:
				continue
			}
			err := keep(ctx, v)
			if ctx.Err() != nil {
				return
			}
			c.tell(v, err)
			if failed[v] = err != nil; err == nil {
				delete(failed, v)
			}
		}
		if len(failed) > 0 {
			again.Reset(pause)
			pause = min(2*pause, longestPause)
			continue
		}
		pause = shortestPause
	}
}

// tell notes what became of a value, and logs when that is news.
func (c *Client) tell(v *Value, err error) {
	before := v.Err()
	v.fail(err)
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		c.config.Log.Warn("value is not known to be current", "key", v.folder+"/"+v.name, "error", err)
	case err == nil && before != nil:
		c.config.Log.Info("value is current again", "key", v.folder+"/"+v.name)
	}
}

// sync watches, fetches, puts into effect and reports one value.
func (c *Client) sync(ctx context.Context, v *Value) error {
	if err := c.watch(ctx, v); err != nil {
		return err
	}
	text, err := c.fetch(ctx, v.folder, v.name)
	if err != nil {
		return errors.Join(err, c.report(ctx, v)) // a new session must say, too, what is in effect
	}
	refused := v.take(text)
	return errors.Join(refused, c.report(ctx, v))
}
