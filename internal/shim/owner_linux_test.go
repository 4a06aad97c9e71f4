package shim

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestForeignListenerDoesNotCount(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// The instance is another process; this test's listener is foreign to it.
	k := instance(t, `echo $$ > $ABT2_STATE/pid; exec sleep 1000`)
	k.run()
	child := k.pids("pid", 1)[0]
	c := newChecker(specOf(l.Addr(), "tcp"), k.describe().GetIdentity().GetShim(), child.pid)
	if err := c.check(t.Context()); err == nil || !strings.Contains(err.Error(), "does not belong to this instance") {
		t.Errorf("a foreign listener: %v", err)
	}
	k.stop()
}

func TestOwnerFollowsTheSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	o := newOwner("127.0.0.1", port, self(t), os.Getpid())
	for range 2 { // found, and known
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.check(); err == nil {
		t.Error("the closed listener still counts")
	}
}

// Of two who share a port both must be the instance's: either may be chosen.
func TestSharedPort(t *testing.T) {
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	a, err := share.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := share.Listen(context.Background(), "tcp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	inodes, err := listeners("127.0.0.1", a.Addr().(*net.TCPAddr).Port)
	if err != nil || len(inodes) != 2 {
		t.Errorf("listeners: %v, %v; want two", inodes, err)
	}
}

func TestParseAddr(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the table is as a little-endian machine writes them")
	}
	for in, want := range map[string]string{
		"0100007F":                         "127.0.0.1",
		"00000000":                         "0.0.0.0",
		"00000000000000000000000001000000": "::1",
		"0000000000000000FFFF00000100007F": "::ffff:127.0.0.1",
	} {
		got, err := parseAddr(in)
		if err != nil || got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0100", "xx00007F"} {
		if got, err := parseAddr(in); err == nil {
			t.Errorf("%q: %v, want an error", in, got)
		}
	}
}
