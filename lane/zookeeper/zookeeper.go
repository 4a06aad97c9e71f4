// Package zookeeper is what abt2's parts share that speak to a ZooKeeper: how
// to reach it, and a Holder that keeps ephemeral nodes standing through lost
// connections, sessions and ensembles.
//
// The client is github.com/go-zookeeper/zk, whose connection finds its way back
// by itself and begins a new session when the old one has expired. Its calls
// take no context; each ends, if need be with an error, within a few seconds.
package zookeeper

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// DefaultSessionTimeout is how long ZooKeeper keeps the nodes of a holder that
// it no longer hears. The server may grant another one.
const DefaultSessionTimeout = 10 * time.Second

// Config says how to reach a ZooKeeper. Addresses is required.
type Config struct {
	// Addresses are host:port of the ensemble's servers. Names are resolved
	// anew at each attempt to connect.
	Addresses []string
	// SessionTimeout is what is asked for. Zero: DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Digest is user:password of ZooKeeper's scheme digest, and then only that
	// user may change what is created. Empty: everybody may. It is a secret.
	Digest string
	// Log is told what no call returns. Nil: nobody.
	Log *slog.Logger
	// Buffer bounds one message, either way, and is held in memory twice for as
	// long as the connection. Zero: 4 MB, which lists of thousands of nodes need.
	Buffer int
}

// Connect returns a connection at once, whether or not a server answers. It
// goes on trying until close is called, which ends the session and returns when
// nothing of the connection runs any more. onEvent hears of everything that
// happens to the session and to what is watched; it must not block.
func Connect(c Config, onEvent func(zk.Event)) (conn *zk.Conn, closeConn func(), err error) {
	c = c.withDefaults()
	if len(c.Addresses) == 0 {
		return nil, nil, errors.New("zookeeper: no address")
	}
	seen := new(zxids)
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		conn, err := c.dial(network, address, timeout)
		if err != nil {
			return nil, err
		}
		return &zxidsConn{Conn: conn, zxids: seen}, nil
	}
	conn, events, err := zk.Connect(c.Addresses, c.SessionTimeout,
		zk.WithHostProvider(new(hosts)), zk.WithDialer(dial), zk.WithEventCallback(onEvent),
		zk.WithLogInfo(false), zk.WithLogger(logger{c.Log}),
		zk.WithMaxBufferSize(c.Buffer), zk.WithMaxConnBufferSize(c.Buffer))
	if err != nil {
		return nil, nil, fmt.Errorf("zookeeper: %w", err)
	}
	return conn, func() {
		conn.Close()
		for range events { // closed by the last that runs
		}
	}, nil
}

func (c Config) withDefaults() Config {
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.Buffer == 0 {
		c.Buffer = 4 << 20
	}
	return c
}

// dial connects, and sees to it that a server which accepts but does not answer
// is given up within a session's time: the client would wait for the answer to
// its greeting almost seven times as long.
func (c Config) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	return impatient{conn, c.SessionTimeout * 2 / 3}, nil
}

type impatient struct {
	net.Conn
	longest time.Duration
}

func (i impatient) SetReadDeadline(t time.Time) error {
	if latest := time.Now().Add(i.longest); t.After(latest) {
		t = latest
	}
	return i.Conn.SetReadDeadline(t)
}

// Authenticate tells the server who we are. The connection repeats it in every
// later session by itself. It must come before what needs it, and after a
// server has answered: while none does, it fails.
func (c Config) Authenticate(conn *zk.Conn) error {
	if c.Digest == "" {
		return nil
	}
	return conn.AddAuth("digest", []byte(c.Digest))
}

// ACL is what nodes are created with: with a digest everybody may read and we
// alone may change, without one everybody may do everything.
func (c Config) ACL() []zk.ACL {
	user, password, ok := strings.Cut(c.Digest, ":")
	if !ok {
		return zk.WorldACL(zk.PermAll)
	}
	return append(zk.DigestACL(zk.PermAll, user, password), zk.WorldACL(zk.PermRead)...)
}

// EnsureParents makes every node above p exist: persistent, without data. Nodes
// that exist are left as they are.
func (c Config) EnsureParents(conn *zk.Conn, p string) error {
	parent := path.Dir(p)
	if parent == "/" || parent == "." {
		return nil
	}
	ok, _, err := conn.Exists(parent)
	if err != nil || ok {
		return err
	}
	if err := c.EnsureParents(conn, parent); err != nil {
		return err
	}
	if _, err = conn.Create(parent, nil, 0, c.ACL()); errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// logger hands what the client prints to a Logger, for those who debug: losing a
// connection is told by what follows from it.
type logger struct{ to *slog.Logger }

func (l logger) Printf(format string, args ...any) {
	if l.to != nil {
		l.to.Debug("zookeeper: " + fmt.Sprintf(format, args...))
	}
}

// hosts gives the addresses in turn, unresolved, so that a name's new address is
// found and a name that resolves to nothing is an attempt that fails. It
// implements zk.HostProvider.
type hosts struct {
	mu         sync.Mutex
	servers    []string
	next, last int // last is where the connection stood; -1: nowhere yet
}

func (h *hosts) Init(servers []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servers, h.next, h.last = servers, 0, -1
	return nil
}

func (h *hosts) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.servers)
}

// Next returns the next address, and whether all have been tried since the last
// connection: then the client pauses.
func (h *hosts) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.next
	h.next = (h.next + 1) % len(h.servers)
	if h.last < 0 {
		h.last = at
		return h.servers[at], false
	}
	return h.servers[at], at == h.last
}

func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = (h.next + len(h.servers) - 1) % len(h.servers)
}
