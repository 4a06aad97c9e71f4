package edge

import (
	"os"
	"strings"
)

// bootID names the boot of the machine, so that a process recorded before a
// restart of the machine is not taken for one of today. Empty: not to be had.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
