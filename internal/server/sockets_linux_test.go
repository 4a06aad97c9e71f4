package server_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"abt2.dev"
)

// TestListeningSockets counts every TCP socket that an installation listens on:
// all of them on loopback, and none that nobody asked for.
func TestListeningSockets(t *testing.T) {
	in := install(t)
	in.release()
	status, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{strings.TrimSpace(read(t, filepath.Join(in.dir, "listen")))}
	for _, e := range status.Edges {
		want = append(want, strings.TrimPrefix(e, "http://"))
	}
	for _, i := range status.Instances {
		want = append(want, i.Address)
	}
	for _, n := range status.Names {
		want = append(want, n.Address)
	}
	var got []string
	for _, a := range listening(t, in.dir) {
		if !a.Addr().Unmap().IsLoopback() {
			t.Errorf("%s is open to others", a)
		}
		got = append(got, a.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("listening: %v\nasked for: %v", got, want)
	}
}

// listening returns the TCP addresses at which this process and the processes
// that work in the folder listen (proc(5), /proc/net/tcp).
func listening(t *testing.T, dir string) []netip.AddrPort {
	t.Helper()
	ours := map[string]bool{}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		command, err1 := os.ReadFile(p + "/cmdline")
		environ, err2 := os.ReadFile(p + "/environ")
		if err1 != nil || err2 != nil {
			continue // ended meanwhile
		}
		if p != fmt.Sprintf("/proc/%d", os.Getpid()) && !strings.Contains(string(command)+string(environ), dir) {
			continue
		}
		open, _ := filepath.Glob(p + "/fd/*")
		for _, fd := range open {
			if target, err := os.Readlink(fd); err == nil {
				ours[target] = true
			}
		}
	}
	var out []netip.AddrPort
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const listen = "0A"
			fields := strings.Fields(lines.Text())
			if len(fields) > 9 && fields[3] == listen && ours["socket:["+fields[9]+"]"] {
				out = append(out, parseAddress(t, fields[1]))
			}
		}
		f.Close()
	}
	return out
}

// parseAddress reads ADDRESS:PORT in hexadecimal, the address in words of the
// machine's byte order, which is little-endian wherever these tests run.
func parseAddress(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	if err != nil {
		t.Fatal(err)
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	ip, _ := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n))
}
