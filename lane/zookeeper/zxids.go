package zookeeper

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
)

// zxids remembers for a client, through all its connections, the number (zxid)
// of the newest change that it has seen.
//
// The client does so itself, but an answer that arrives before it has set its
// watches anew moves the change from which it sets them, and what happened in
// between is never told: github.com/go-zookeeper/zk, pull request 35. So the
// answers that it gets bear no number, and its own numbers are replaced by those
// kept here.
type zxids struct {
	mu    sync.Mutex
	seen  int64 // newest change of any answer
	armed int64 // every watch has fired for changes up to this one, or came later
}

// zxidsConn is one connection of a client. Its bytes are laid out as in
// ZooKeeper's zookeeper.jute: ConnectRequest, RequestHeader, SetWatches and
// ReplyHeader, each behind a length of four bytes. The client writes a packet at
// once.
type zxidsConn struct {
	net.Conn
	zxids *zxids

	greeted bool // owned by whoever writes

	// Owned by whoever reads.
	answered bool     // the greeting is
	head     [16]byte // of the packet that is being read: length, xid, zxid
	at       int      // how much of head is filled
	left     int      // bytes of the packet after head

	// Guarded by zxids.mu. Watches are those that the session had before; setting
	// them anew may take several packets, one after the other.
	since   int64 // zxids.armed when the connection began
	rearmed bool  // watches are set anew, or there were none
	arming  int32 // xid of the newest SetWatches; 0: none
}

const (
	opSetWatches = 101

	zxidInGreeting    = 8 // length, protocol version
	sessionInGreeting = zxidInGreeting + 8 + 4
	zxidInSetWatches  = 12 // length, xid, type
)

func (c *zxidsConn) Write(b []byte) (int, error) {
	switch {
	case !c.greeted && len(b) >= sessionInGreeting+8:
		c.greeted = true
		b = c.zxids.greet(c, bytes.Clone(b))
	case len(b) >= zxidInSetWatches+8 && binary.BigEndian.Uint32(b[8:]) == opSetWatches:
		b = c.zxids.rearm(c, bytes.Clone(b))
	}
	return c.Conn.Write(b)
}

// greet fills in the newest change seen, so that no server which has not heard
// of it accepts the session. A new session starts from nothing.
func (z *zxids) greet(c *zxidsConn, b []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	if binary.BigEndian.Uint64(b[sessionInGreeting:]) == 0 {
		z.seen, z.armed, c.rearmed = 0, 0, true
	}
	c.since = z.armed
	binary.BigEndian.PutUint64(b[zxidInGreeting:], uint64(z.seen))
	return b
}

func (z *zxids) rearm(c *zxidsConn, b []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.armed = c.since
	c.rearmed, c.arming = false, int32(binary.BigEndian.Uint32(b[4:]))
	binary.BigEndian.PutUint64(b[zxidInSetWatches:], uint64(c.since))
	return b
}

func (z *zxids) answer(c *zxidsConn, xid int32, zxid int64) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.seen = max(z.seen, zxid) // what a server tells by itself has none, or -1
	c.rearmed = c.rearmed || xid > 0 && xid == c.arming
	if c.rearmed {
		z.armed = z.seen
	}
}

func (c *zxidsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.strip(b[:n])
	return n, err
}

// strip takes the numbers of changes out of a part of what a server sends,
// wherever that part begins and ends.
func (c *zxidsConn) strip(b []byte) {
	for len(b) > 0 {
		if c.left > 0 {
			n := min(c.left, len(b))
			c.left -= n
			b = b[n:]
			continue
		}
		from := c.at
		n := copy(c.head[from:], b)
		c.at += n
		if zxid := max(0, 8-from); c.answered && zxid < n {
			clear(b[zxid:n])
		}
		b = b[n:]
		if c.at < len(c.head) {
			return
		}
		if c.answered {
			c.zxids.answer(c, int32(binary.BigEndian.Uint32(c.head[4:])), int64(binary.BigEndian.Uint64(c.head[8:])))
		}
		c.answered = true
		c.at, c.left = 0, int(binary.BigEndian.Uint32(c.head[:]))-(len(c.head)-4)
	}
}
