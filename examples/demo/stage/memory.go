package stage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory returns the resident bytes of the server and of its edge. It reads
// /proc, so it works on Linux only.
func (s *Stage) Memory() (server, edge int64, err error) {
	if server, err = memory(strconv.Itoa(s.server.pid), "VmRSS"); err != nil {
		return 0, 0, err
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, 0, err
	}
	for _, file := range lines {
		args, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		if words := bytes.Split(args, []byte{0}); len(words) > 2 && string(words[1]) == "edge" && bytes.Contains(words[2], []byte(s.Data())) {
			edge, err = memory(filepath.Base(filepath.Dir(file)), "VmRSS")
			return server, edge, err
		}
	}
	return server, 0, fmt.Errorf("no edge of %s runs", s.Data())
}

// PeakMemory is the most bytes that the server has been resident with. Like
// Memory it works on Linux only.
func (s *Stage) PeakMemory() (int64, error) {
	return memory(strconv.Itoa(s.server.pid), "VmHWM")
}

// memory reads a process's value of that name, in bytes; proc(5) explains them.
func memory(pid, name string) (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %s: its status has no %s", pid, name)
}
