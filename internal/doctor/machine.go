package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ports: each address is free, or this installation's.
func ports(s *Subject) []Finding {
	var out []Finding
	for _, p := range s.Ports {
		name := "port " + p.Name
		if p.Ours {
			out = append(out, ok(name, "%s is this installation's", p.Address)...)
			continue
		}
		l, err := net.Listen("tcp", p.Address)
		switch {
		case err == nil:
			_ = l.Close()
			out = append(out, ok(name, "%s is free", p.Address)...)
		case errors.Is(err, syscall.EADDRINUSE):
			out = append(out, fail(name, fmt.Sprintf("end what listens there (ss -ltnp), or choose another with --%s", p.Name), "%s is somebody else's", p.Address)...)
		case errors.Is(err, syscall.EACCES):
			out = append(out, fail(name, fmt.Sprintf("setcap cap_net_bind_service=+ep on the abt2 program, or choose another with --%s", p.Name), "%s needs a right that this user lacks", p.Address)...)
		default:
			out = append(out, fail(name, fmt.Sprintf("choose another with --%s", p.Name), "%v", err)...)
		}
	}
	return out
}

// ranges: the system gives none of our ports to outgoing connections.
func ranges(s *Subject) []Finding {
	const name = "port ranges"
	lo, hi, known := ephemeralPorts()
	if !known {
		return ok(name, "which ports the system gives out cannot be told here")
	}
	for _, r := range s.Ranges {
		if r.Min <= hi && lo <= r.Max {
			return warn(name, "sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
				"the system gives ports %d to %d to outgoing connections, and %s have %d to %d: one may find its port taken", lo, hi, r.Name, r.Min, r.Max)
		}
	}
	return ok(name, "apart from those of outgoing connections, %d to %d", lo, hi)
}

// Open files that abt2 needs: one for each connection of the edge, and some for itself.
const (
	fewFiles = 4096
	minFiles = 256
)

func files(*Subject) []Finding {
	const name = "open files"
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return warn(name, "look with ulimit -n", "the limit cannot be told: %v", err)
	}
	// Go raises the soft limit to the hard one for itself.
	n := uint64(l.Max)
	remedy := fmt.Sprintf("raise it to 65536: LimitNOFILE= in the systemd unit, or ulimit -Hn, for the user %d", os.Geteuid())
	switch {
	case n < minFiles:
		return fail(name, remedy, "at most %d", n)
	case n < fewFiles:
		return warn(name, remedy, "at most %d, and every connection of the edge needs two", n)
	}
	return ok(name, "at most %d", n)
}

// clock: the wall clock is not behind what has happened, and is kept right.
func clock(s *Subject) []Finding {
	const name = "clock"
	const remedy = "set the system's time, and keep it by chrony or systemd-timesyncd (timedatectl set-ntp true)"
	newest := newestIn(s.Folder)
	if ahead := newest.Sub(s.Now); ahead > time.Minute {
		return warn(name, remedy, "the system's time is %s, and a file in %s is %s newer", s.Now.UTC().Format(time.RFC3339), s.Folder, ahead.Round(time.Second))
	}
	if s.Now.Year() < 2026 {
		return warn(name, remedy, "the system's time is %s, before this program was made", s.Now.UTC().Format(time.RFC3339))
	}
	if right, known := synchronised(); known && !right {
		return warn(name, remedy, "nobody keeps the system's time right; abt2 orders nothing by it, but history shows it")
	}
	return ok(name, "%s", s.Now.UTC().Format(time.RFC3339))
}

// newestIn is when something in the folder was changed last.
func newestIn(dir string) time.Time {
	var newest time.Time
	for _, pattern := range []string{"*", "*/*"} {
		list, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range list {
			if info, err := os.Lstat(path); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
	}
	return newest
}

// versions: what runs is of this program's version.
func versions(s *Subject) []Finding {
	const name = "versions"
	var out []Finding
	for _, p := range s.Parts {
		switch p.Version {
		case s.Program:
			out = append(out, ok(name, "%s runs, %s", p.Name, p.Version)...)
		case "":
			out = append(out, warn(name, "start it again with this program, when it suits", "%s runs and does not tell its version; this program is %s", p.Name, s.Program)...)
		default:
			out = append(out, warn(name, "start it again with this program, when it suits", "%s runs, %s; this program is %s", p.Name, p.Version, s.Program)...)
		}
	}
	if len(s.Parts) == 0 {
		return ok(name, "%s; neither server nor edge runs", s.Program)
	}
	return out
}
