package edge

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// upgraded is a WebSocket that passes through. It knows where frames end (RFC
// 6455, section 5.2), and nothing of what is in them, so that it can send a close
// frame to both sides.
type upgraded struct {
	client   atomic.Pointer[clientSide] // set by take, before anything passes
	module   io.ReadWriteCloser
	toClient frames
	toModule frames
	grace    atomic.Pointer[time.Timer] // cuts what does not answer the close frame; nil: not asked to end
}

// closeGrace bounds how long the two sides have to answer a close frame.
const closeGrace = 3 * time.Second

// goingAway is the status of an end that is nobody's fault (RFC 6455, section 7.4.1).
const goingAway = 1001

func newUpgraded(module io.ReadWriteCloser, reason string) *upgraded {
	u := &upgraded{module: module}
	payload := append(binary.BigEndian.AppendUint16(nil, goingAway), reason...)
	u.toClient = frames{closeFrame: closeFrame(payload, false), ended: u.answered}
	u.toModule = frames{w: module, closeFrame: closeFrame(payload, true), ended: u.answered}
	return u
}

// closeFrame is a close frame; a client's is masked (section 5.3). The payload
// has at most 125 bytes.
func closeFrame(payload []byte, masked bool) []byte {
	if !masked {
		return append([]byte{0x88, byte(len(payload))}, payload...)
	}
	f := append([]byte{0x88, 0x80 | byte(len(payload))}, 0, 0, 0, 0)
	key := f[2:6:6]
	_, _ = rand.Read(key) // never fails
	for i, b := range payload {
		f = append(f, b^key[i%4])
	}
	return f
}

// moduleSide is the module's connection for the proxy: what is written to it
// passes through toModule.
func (u *upgraded) moduleSide() io.ReadWriteCloser {
	return moduleSide{u.module, &u.toModule}
}

type moduleSide struct {
	io.ReadWriteCloser
	to *frames
}

func (c moduleSide) Write(p []byte) (int, error) { return c.to.Write(p) }

func (c moduleSide) CloseWrite() error { return closeWrite(c.ReadWriteCloser) }

// closeWrite ends what is sent on a connection that can be ended so.
func closeWrite(c any) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed // the proxy then closes both ways
}

// take is the same for the client's connection.
func (u *upgraded) take(client net.Conn) net.Conn {
	side := clientSide{client, &u.toClient}
	u.client.Store(&side)
	u.toClient.begin(client)
	return side
}

type clientSide struct {
	net.Conn
	to *frames
}

func (c clientSide) Write(p []byte) (int, error) { return c.to.Write(p) }

func (c clientSide) CloseWrite() error { return closeWrite(c.Conn) }

// end sends the close frames, each as soon as a frame ends, and bounds what
// follows. It does not wait.
func (u *upgraded) end() {
	timer := time.AfterFunc(closeGrace, u.cut)
	if !u.grace.CompareAndSwap(nil, timer) {
		timer.Stop()
		return
	}
	for _, f := range []*frames{&u.toClient, &u.toModule} {
		f.asked.Store(true)
		go f.sendClose() // may block on a peer that does not read, until cut
	}
}

// answered ends the connections when both sides have sent their close frame.
func (u *upgraded) answered() {
	if u.grace.Load() != nil && u.toClient.peerEnded.Load() && u.toModule.peerEnded.Load() {
		u.cut()
	}
}

func (u *upgraded) cut() {
	_ = u.module.Close()
	if client := u.client.Load(); client != nil {
		_ = client.Close()
	}
}

// release is called when the connections have ended.
func (u *upgraded) release() {
	if timer := u.grace.Load(); timer != nil {
		timer.Stop()
	}
}

// frames is one direction.
type frames struct {
	closeFrame []byte
	ended      func()      // called when the peer that is read from has sent a close frame
	asked      atomic.Bool // to send closeFrame where a frame ends
	peerEnded  atomic.Bool

	mu     sync.Mutex
	w      io.Writer // nil: not known yet, nothing has passed
	sent   bool      // closeFrame is out: nothing may follow it
	header []byte    // of the frame that has begun, as far as it is here; full: empty again
	left   uint64    // of that frame's payload
}

// Write passes p on. Behind our close frame it only looks for the peer's.
func (f *frames) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := 0 // what of p has not been passed on
	for at := 0; at < len(p); {
		if f.between() && f.asked.Load() && !f.sent && !f.peerEnded.Load() {
			if err := f.pass(p[from:at]); err != nil {
				return from, err
			}
			from = at
			if err := f.close(); err != nil {
				return from, err
			}
		}
		at += f.skip(p[at:])
	}
	if err := f.pass(p[from:]); err != nil {
		return from, err
	}
	if f.between() && f.asked.Load() {
		if err := f.close(); err != nil {
			return len(p), err
		}
	}
	if f.peerEnded.Load() {
		f.ended()
	}
	return len(p), nil
}

// sendClose sends the close frame now if no frame is on its way. Otherwise Write
// will.
func (f *frames) sendClose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.w != nil && f.between() {
		_ = f.close() // the proxy notices a broken connection by itself
	}
	if f.peerEnded.Load() {
		f.ended()
	}
}

func (f *frames) close() error {
	if f.sent || f.peerEnded.Load() { // a peer that has ended gets no second one
		return nil
	}
	f.sent = true
	_, err := f.w.Write(f.closeFrame)
	return err
}

func (f *frames) pass(p []byte) error {
	if f.sent || len(p) == 0 {
		return nil
	}
	_, err := f.w.Write(p)
	return err
}

// begin tells where to write to.
func (f *frames) begin(w io.Writer) {
	f.mu.Lock()
	f.w = w
	f.mu.Unlock()
	if f.asked.Load() {
		go f.sendClose()
	}
}

// between reports whether no frame has begun that has not ended.
func (f *frames) between() bool { return len(f.header) == 0 && f.left == 0 }

// skip takes the next bytes of the header or the payload, and returns how many.
func (f *frames) skip(p []byte) int {
	if f.left > 0 {
		n := min(f.left, uint64(len(p)))
		f.left -= n
		return int(n)
	}
	f.header = append(f.header, p[0])
	if size := headerSize(f.header); len(f.header) < size || len(f.header) < 2 {
		return 1
	}
	if f.header[0]&0x0f == 0x8 {
		f.peerEnded.Store(true)
	}
	switch n := f.header[1] & 0x7f; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.header[2:])
	default:
		f.left = uint64(n)
	}
	f.header = f.header[:0]
	return 1
}

// headerSize is how long a header is that begins so.
func headerSize(h []byte) int {
	size := 2
	if len(h) < 2 {
		return size
	}
	switch h[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if h[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// Hijack takes the client's connection for the proxy, with whom it is shared if
// it becomes a WebSocket.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return conn, rw, err
	}
	x.status = http.StatusSwitchingProtocols
	if x.upgraded != nil {
		conn = x.upgraded.take(conn)
	}
	return conn, rw, nil
}
