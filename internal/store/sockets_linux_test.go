package store_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/store"
)

func TestNoSockets(t *testing.T) {
	// That listeners would be found is part of the test.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if len(listening(t)) != 1 {
		t.Fatalf("one socket is listening, found %v", listening(t))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, store.Config{Dir: t.TempDir()})
	if _, err := s.Update(t.Context(), func(st *abt2.State) error { st.Releases = append(st.Releases, 1); return nil }); err != nil {
		t.Fatal(err)
	}
	if found := listening(t); len(found) != 0 {
		t.Errorf("listening: %v", found)
	}
}

// listening returns the sockets of this process that others can connect to.
func listening(t *testing.T) []string {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	var own []string
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			own = append(own, strings.Trim(to, "socket:[]"))
		}
	}
	var out []string
	for file, at := range map[string]struct {
		inode, flags int
		listens      string
	}{
		"tcp":  {9, 3, "0A"}, // state LISTEN
		"tcp6": {9, 3, "0A"},
		"unix": {6, 3, "00010000"}, // __SO_ACCEPTCON
	} {
		f, err := os.Open("/proc/self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) > at.inode && fields[at.flags] == at.listens && slices.Contains(own, fields[at.inode]) {
				out = append(out, fmt.Sprintf("%s %s", file, fields[1]))
			}
		}
	}
	return out
}
