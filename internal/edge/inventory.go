package edge

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"abt2.dev"
)

// inventory is what an edge hands to its successor. Its sockets are sent behind
// it: the folder's lock, the public socket, and one for each name.
type inventory struct {
	Control   string      `json:"control"` // path of the giver's own control socket
	Listen    string      `json:"listen"`  // the settings that the public socket was opened by
	ListenFD  int         `json:"listen_fd,omitempty"`
	Names     []abt2.Name `json:"names"`            // that it listens on
	Routes    []byte      `json:"routes,omitempty"` // in use: a feedpb.EdgeRoutes; empty: none yet
	Connected bool        `json:"connected"`        // to the server

	files []*os.File // lock, public socket, names
}

// maxInventory bounds what is read of an inventory: routes are most of it.
const maxInventory = 128 << 20

func (v *inventory) close() {
	for _, f := range v.files {
		f.Close()
	}
}

// sendInventory writes v and its files. Each file rides on a byte of its own, so
// that no read can take two.
func sendInventory(c *net.UnixConn, v *inventory) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := c.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))); err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	for _, f := range v.files {
		if err := sendFile(c, f); err != nil {
			return err
		}
	}
	return nil
}

// sendFile does not use f.Fd: it would make the socket a blocking one for
// everybody who has it, and Accept could not be ended any more.
func sendFile(c *net.UnixConn, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = c.WriteMsgUnix([]byte{stepSocket}, unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}

// receiveInventory reads what sendInventory writes. On error nothing is left open.
func receiveInventory(c *net.UnixConn) (v *inventory, err error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxInventory {
		return nil, fmt.Errorf("an inventory of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	v = &inventory{}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	for range 2 + len(v.Names) {
		f, err := receiveFile(c)
		if err != nil {
			return nil, err
		}
		v.files = append(v.files, f)
	}
	return v, nil
}

// receiveFile reads one byte and the file that rides on it.
func receiveFile(c *net.UnixConn) (*os.File, error) {
	var step [1]byte
	rights := make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := c.ReadMsgUnix(step[:], rights)
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.ErrUnexpectedEOF
	case step[0] != stepSocket:
		return nil, fmt.Errorf("step %q where a socket was expected", step[0])
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil {
		return nil, err
	}
	for _, message := range messages {
		if fds, err := unix.ParseUnixRights(&message); err == nil && len(fds) == 1 {
			return os.NewFile(uintptr(fds[0]), "handed over"), nil
		}
	}
	return nil, fmt.Errorf("a step without its socket")
}
