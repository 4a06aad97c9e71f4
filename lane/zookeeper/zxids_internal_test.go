package zookeeper

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"testing/iotest"
)

// packet is its fields behind their length.
func packet(fields ...any) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		_ = binary.Write(&b, binary.BigEndian, f) // fails for no number
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(b.Len())), b.Bytes()...)
}

func greeting(zxid, session int64) []byte {
	return packet(int32(0), zxid, int32(10_000), session, int32(0))
}

func setWatches(xid int32, zxid int64) []byte {
	return packet(xid, int32(opSetWatches), zxid, int32(0), int32(0), int32(0))
}

func reply(xid int32, zxid int64, body ...any) []byte {
	return packet(append([]any{xid, zxid, int32(0)}, body...)...)
}

var greeted = packet(int32(0), int32(10_000), int64(7), int32(16), make([]byte, 16))

// wire is what a server sends, and takes what a client writes.
type wire struct {
	net.Conn
	sends io.Reader
	got   bytes.Buffer
}

func (w *wire) Read(b []byte) (int, error)  { return w.sends.Read(b) }
func (w *wire) Write(b []byte) (int, error) { return w.got.Write(b) }

// exchange lets the client write, then read everything that the server sends,
// and again; it returns what arrived at either end.
func exchange(t *testing.T, z *zxids, cut func(io.Reader) io.Reader, turns ...[2][]byte) (atServer, atClient []byte) {
	t.Helper()
	w := new(wire)
	c := &zxidsConn{Conn: w, zxids: z}
	for _, turn := range turns {
		if turn[0] != nil {
			mine := bytes.Clone(turn[0])
			if n, err := c.Write(mine); err != nil || n != len(mine) || !bytes.Equal(mine, turn[0]) {
				t.Fatalf("write: %d bytes of %d, %v, buffer changed: %v", n, len(mine), err, !bytes.Equal(mine, turn[0]))
			}
		}
		w.sends = cut(bytes.NewReader(turn[1]))
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		atClient = append(atClient, got...)
	}
	return w.got.Bytes(), atClient
}

// TestZxids: numbers of changes reach no client, and those that leave it are
// the ones from which nothing is missed.
func TestZxids(t *testing.T) {
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"whole":     func(r io.Reader) io.Reader { return r },
		"bytewise":  iotest.OneByteReader,
		"by halves": iotest.HalfReader,
	} {
		t.Run(name, func(t *testing.T) {
			z := new(zxids)
			event := reply(-1, -1, int32(3), int32(3), int32(2), []byte("/a"))
			check := func(what string, turns [][2][]byte, server, client [][]byte) {
				t.Helper()
				atServer, atClient := exchange(t, z, cut, turns...)
				if want := slices.Concat(server...); !bytes.Equal(atServer, want) {
					t.Errorf("%s: the server got\n%x, want\n%x", what, atServer, want)
				}
				if want := slices.Concat(client...); !bytes.Equal(atClient, want) {
					t.Errorf("%s: the client got\n%x, want\n%x", what, atClient, want)
				}
			}
			bare := reply(-1, 0, int32(3), int32(3), int32(2), []byte("/a"))
			check("a new session", [][2][]byte{
				{greeting(0, 0), greeted}, {packet(int32(1), int32(4)), reply(1, 100, int64(1))}, {nil, event},
			}, [][]byte{greeting(0, 0), packet(int32(1), int32(4))}, [][]byte{greeted, reply(1, 0, int64(1)), bare})
			check("an answer before the watches", [][2][]byte{
				{greeting(0, 7), greeted}, {packet(int32(2), int32(4)), reply(2, 150)}, {setWatches(3, 0), nil},
			}, [][]byte{greeting(100, 7), packet(int32(2), int32(4)), setWatches(3, 100)}, [][]byte{greeted, reply(2, 0)})
			check("watches that were never set", [][2][]byte{
				{greeting(0, 7), greeted}, {setWatches(4, 0), slices.Concat(event, reply(4, 160))}, {nil, reply(-2, 170)},
			}, [][]byte{greeting(150, 7), setWatches(4, 100)}, [][]byte{greeted, bare, reply(4, 0), reply(-2, 0)})
			check("watches that were set", [][2][]byte{
				{greeting(0, 7), greeted}, {setWatches(5, 0), nil},
			}, [][]byte{greeting(170, 7), setWatches(5, 170)}, [][]byte{greeted})
			check("watches of several packets", [][2][]byte{
				{greeting(0, 7), greeted}, {setWatches(6, 0), slices.Concat(reply(6, 180), reply(-2, 190))}, {setWatches(7, 0), nil},
			}, [][]byte{greeting(170, 7), setWatches(6, 170), setWatches(7, 170)}, [][]byte{greeted, reply(6, 0), reply(-2, 0)})
			check("watches of which some were set", [][2][]byte{
				{greeting(0, 7), greeted}, {setWatches(8, 0), nil},
			}, [][]byte{greeting(190, 7), setWatches(8, 170)}, [][]byte{greeted})
			check("another session", [][2][]byte{
				{greeting(0, 0), greeted},
			}, [][]byte{greeting(0, 0)}, [][]byte{greeted})
		})
	}
}
