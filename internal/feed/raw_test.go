package feed_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

// rawRouter speaks the feed's protocol frame by frame: it can say what no
// client of ours would, and it is light enough for ten thousand in one process.
type rawRouter struct {
	conn   net.Conn
	frames *http2.Framer
	write  sync.Mutex // of frames
	hpack  *hpack.Decoder
	end    *streamEnd   // what trailers say
	in     bytes.Buffer // of DATA frames, until a message is whole
	owed   uint32       // bytes that the server has not been allowed to send again yet
}

// maxOwed is what is received before the server's windows, of 64 KB, are opened again.
const maxOwed = 32 << 10

// dialRaw opens a stream to Join. It has sent no message yet.
func dialRaw(d net.Dialer, address, credential string) (*rawRouter, error) {
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	r := &rawRouter{conn: conn, end: &streamEnd{status: -1}}
	r.hpack = hpack.NewDecoder(4096, r.end.field)
	out := &bytes.Buffer{}
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(out, nil)
	err = errors.Join(f.WriteSettings(), f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: rawHeaders(address, credential)}))
	if err == nil {
		_, err = conn.Write(out.Bytes())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	r.frames = http2.NewFramer(conn, bufio.NewReaderSize(conn, 1<<10))
	r.frames.SetReuseFrames()
	return r, nil
}

func rawHeaders(address, credential string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, h := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/abt2.feed.v1.FeedService/Join"}, {":authority", address},
		{"content-type", "application/grpc+proto"}, {"te", "trailers"}, {"authorization", "Bearer " + credential},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // into memory
	}
	return b.Bytes()
}

// envelope is a message as gRPC frames it.
func envelope(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 5, 128), m)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-5))
	return b, nil
}

// send sends one message, of at most 16 KB.
func (r *rawRouter) send(m *feedpb.RouterMessage) error {
	b, err := envelope(m)
	if err != nil {
		return err
	}
	r.write.Lock()
	defer r.write.Unlock()
	return r.frames.WriteData(1, false, b)
}

// receive returns the next message as it is encoded, good until the next call.
// The error of a stream that the server has ended is a *streamEnd.
func (r *rawRouter) receive() ([]byte, error) {
	for {
		if b := r.in.Bytes(); len(b) >= 5 {
			if n := 5 + int(binary.BigEndian.Uint32(b[1:])); len(b) >= n {
				return r.in.Next(n)[5:], nil
			}
		}
		if err := r.frame(); err != nil {
			return nil, err
		}
	}
}

// frame takes one frame.
func (r *rawRouter) frame() error {
	f, err := r.frames.ReadFrame()
	if err != nil {
		return err
	}
	r.write.Lock()
	defer r.write.Unlock()
	switch f := f.(type) {
	case *http2.DataFrame:
		r.in.Write(f.Data())
		if r.owed += f.Length; r.owed >= maxOwed {
			err = errors.Join(r.frames.WriteWindowUpdate(0, r.owed), r.frames.WriteWindowUpdate(1, r.owed))
			r.owed = 0
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			err = r.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			err = r.frames.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		if _, err = r.hpack.Write(f.HeaderBlockFragment()); err == nil && f.StreamEnded() {
			err = r.end
		}
	case *http2.RSTStreamFrame:
		return &streamEnd{reset: f.ErrCode}
	case *http2.GoAwayFrame:
		return io.EOF
	}
	return err
}

// streamEnd is how the server ended a stream.
type streamEnd struct {
	status  int // gRPC's
	message string
	reset   http2.ErrCode // instead of a status
}

func (e *streamEnd) Error() string {
	return fmt.Sprintf("stream ended with status %d %q, reset %s", e.status, e.message, e.reset)
}

func (e *streamEnd) field(f hpack.HeaderField) {
	switch f.Name {
	case "grpc-status":
		e.status, _ = strconv.Atoi(f.Value)
	case "grpc-message":
		e.message, _ = url.PathUnescape(f.Value)
	}
}

// answerTo returns the confirmation of an encoded ServerMessage, and nil for one
// that wants none. It looks at the mark and the number alone: what building a
// table costs a router is not the server's doing.
func answerTo(b []byte) (*feedpb.Applied, error) {
	a := &feedpb.Applied{}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(field, kind, b[max(n, 0):])
		if n < 0 || size < 0 {
			return nil, errors.New("malformed message")
		}
		value := b[n : n+size]
		b = b[n+size:]
		var err error
		switch field {
		case 1: // table
			a.Mark, err = markIn(value, 1)
		case 4: // table_change
			a.Mark, err = markIn(value, 2) // to
		case 15: // number
			a.Number, _ = protowire.ConsumeVarint(value)
		}
		if err != nil {
			return nil, err
		}
	}
	if a.Mark == nil {
		return nil, nil
	}
	return a, nil
}

// markIn returns the mark in a field of a message, which is given with its length.
func markIn(b []byte, field protowire.Number) (*feedpb.Mark, error) {
	b, _ = protowire.ConsumeBytes(b)
	for len(b) > 0 {
		f, kind, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(f, kind, b[max(n, 0):])
		if n < 0 || size < 0 {
			break
		}
		if f == field {
			body, _ := protowire.ConsumeBytes(b[n:])
			m := &feedpb.Mark{}
			return m, proto.Unmarshal(body, m)
		}
		b = b[n+size:]
	}
	return nil, errors.New("a table without a mark")
}

func appliedMessage(a *feedpb.Applied) *feedpb.RouterMessage {
	return &feedpb.RouterMessage{Message: &feedpb.RouterMessage_Applied{Applied: a}}
}

func helloMessage(h *feedpb.Hello) *feedpb.RouterMessage {
	return &feedpb.RouterMessage{Message: &feedpb.RouterMessage_Hello{Hello: h}}
}

func processHello(id string) *feedpb.Hello {
	return &feedpb.Hello{RouterId: id, Role: feedpb.Role_ROLE_PROCESS, Instance: id, Module: "order", Version: "order@3", Protocol: 1, Changes: true}
}
