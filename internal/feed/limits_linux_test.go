package feed_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// roomFor reports why this process cannot hold n connections, and takes the
// room that it is allowed to take.
func roomFor(n int) error {
	const others = 100 // files that are no connections
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	want := uint64(n + others)
	if l.Cur >= want {
		return nil
	}
	if l.Max < want {
		return fmt.Errorf("%d routers need %d open files, and %d are allowed: raise ulimit -Hn", n, want, l.Max)
	}
	l.Cur = want
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// resident returns the memory that this process holds, in bytes.
func resident() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm: %q", b)
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err
}
