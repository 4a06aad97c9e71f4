// Package doctor checks what abt2 needs of a machine and of its data folder,
// and says what to do about each finding. It changes nothing and asks nobody:
// what has to be asked, like who listens, the caller tells it.
package doctor

import (
	"context"
	"fmt"
	"time"
)

// Result is how a check ended.
type Result string

// The results, the worst last. What warns works today, or mostly.
const (
	OK   Result = "ok"
	Warn Result = "warn"
	Fail Result = "fail"
)

// Finding is what a check has found. Remedy is empty where the result is OK.
type Finding struct {
	Check  string
	Result Result
	Detail string
	Remedy string
}

// Subject is what is to be examined.
type Subject struct {
	Folder  string   // the data folder, absolute; it need not exist yet
	Secrets []string // files that others must not read; those that do not exist are no matter
	// Format is why the folder is not one that this program works on; nil: it is.
	Format error
	// MaxPath is the longest path of a folder in which sockets fit.
	MaxPath int
	Ports   []Port
	Ranges  []Range
	Program string // this program's version
	Parts   []Part // what runs
	Now     time.Time
}

// Port is an address that abt2 listens on, or is to.
type Port struct {
	Name    string // of the setting, for people
	Address string // HOST:PORT; port 0 is always free
	Ours    bool   // a part of this installation listens there
}

// Range is a range of ports that abt2 gives out itself.
type Range struct {
	Name     string
	Min, Max int
}

// Part is a process of the installation.
type Part struct {
	Name    string
	Version string // empty: it does not tell
}

// checks are all there are, in the order they are told in. Each may find several things.
var checks = []func(*Subject) []Finding{
	folder, format, writable, space, filesystem, secrets, ports, ranges, files, clock, versions, system,
}

// Examine makes all checks. It takes milliseconds, unless the disk hangs; when
// ctx ends the rest is left out.
func Examine(ctx context.Context, s Subject) []Finding {
	var out []Finding
	for _, check := range checks {
		if ctx.Err() != nil {
			return out
		}
		out = append(out, check(&s)...)
	}
	return out
}

func ok(check, format string, args ...any) []Finding {
	return []Finding{{Check: check, Result: OK, Detail: fmt.Sprintf(format, args...)}}
}

func warn(check, remedy, format string, args ...any) []Finding {
	return []Finding{{check, Warn, fmt.Sprintf(format, args...), remedy}}
}

func fail(check, remedy, format string, args ...any) []Finding {
	return []Finding{{check, Fail, fmt.Sprintf(format, args...), remedy}}
}
