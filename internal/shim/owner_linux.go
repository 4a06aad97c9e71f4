package shim

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"abt2.dev/internal/shim/shimpb"
)

// owner tells whether the listener that answers on the instance's port belongs
// to the instance: to a process of its shim's session.
type owner struct {
	host  string
	port  int
	shim  *shimpb.Process
	child int

	// What was found last: while this descriptor is that socket, nothing changed.
	descriptor string
	socket     string
}

func newOwner(host string, port int, shim *shimpb.Process, child int) *owner {
	return &owner{host: host, port: port, shim: shim, child: child}
}

func (o *owner) check() error {
	if o.descriptor != "" {
		if l, err := os.Readlink(o.descriptor); err == nil && l == o.socket {
			return nil
		}
		o.descriptor = ""
	}
	inodes, err := listeners(o.host, o.port)
	if err != nil {
		return fmt.Errorf("who listens on port %d cannot be found: %w", o.port, err)
	}
	if len(inodes) == 0 {
		return fmt.Errorf("nothing listens on %s port %d any more", o.host, o.port)
	}
	for _, inode := range inodes { // several share a port with SO_REUSEPORT
		found, err := o.find("socket:[" + inode + "]")
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("port %d is held by a process that does not belong to this instance; end that process", o.port)
		}
	}
	return nil
}

// find looks for an open socket, in the child first: it is hardly ever elsewhere.
func (o *owner) find(socket string) (bool, error) {
	if o.holds(o.child, socket) {
		return true, nil
	}
	others, err := remains(o.shim)
	if err != nil {
		return false, fmt.Errorf("the instance's processes cannot be listed: %w", err)
	}
	return slices.ContainsFunc(others, func(p process) bool { return o.holds(p.pid, socket) }), nil
}

func (o *owner) holds(pid int, socket string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // it has ended, or is not ours to look at
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if l, err := os.Readlink(path); err == nil && l == socket {
			o.descriptor, o.socket = path, socket
			return true
		}
	}
	return false
}

// listeners returns the inodes of the sockets that get connections to
// host:port: those bound to the address itself, else those bound to any.
func listeners(host string, port int) ([]string, error) {
	want, err := netip.ParseAddr(host)
	if err != nil {
		return nil, err
	}
	var exact, anyV4, anyV6 []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		all, err := listening(table, port)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a system without IPv6
		}
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			switch {
			case l.addr.Unmap() == want.Unmap():
				exact = append(exact, l.inode)
			case l.addr == netip.IPv4Unspecified():
				anyV4 = append(anyV4, l.inode)
			case l.addr == netip.IPv6Unspecified():
				anyV6 = append(anyV6, l.inode)
			}
		}
	}
	switch {
	case len(exact) > 0:
		return exact, nil
	case len(anyV4) > 0 && want.Unmap().Is4():
		return anyV4, nil
	}
	return anyV6, nil
}

type listener struct {
	addr  netip.Addr
	inode string
}

// listening reads the listeners on a port from /proc/net/tcp or tcp6, whose
// format is described in the kernel's Documentation/networking/proc_net_tcp.rst.
func listening(table string, port int) ([]listener, error) {
	const listen = "0A"
	f, err := os.Open(table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	var out []listener
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listen {
			continue
		}
		addr, ok := strings.CutSuffix(fields[1], suffix)
		if !ok {
			continue
		}
		a, err := parseAddr(addr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
		out = append(out, listener{a, fields[9]})
	}
	return out, lines.Err()
}

// parseAddr reads an address written as 32-bit words in the machine's byte order.
func parseAddr(s string) (netip.Addr, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return netip.Addr{}, err
	}
	for i := 0; i+4 <= len(b); i += 4 {
		word := binary.BigEndian.Uint32(b[i:])
		binary.NativeEndian.PutUint32(b[i:], word)
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.Addr{}, fmt.Errorf("address %q: must have 4 or 16 bytes", s)
	}
	return a, nil
}
