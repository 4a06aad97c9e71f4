package process

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

const ledgerFile = "platform.json"

// ledger remembers what must never be given out twice, and how shims are
// started for those who have no server to ask.
type ledger struct {
	LastInstance uint64   `json:"last_instance"`
	NextPort     int      `json:"next_port"` // where the search for a free one goes on
	Shim         []string `json:"shim"`
}

func readLedger(dir string) (ledger, error) {
	var l ledger
	b, err := os.ReadFile(filepath.Join(dir, ledgerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err != nil {
		return l, abt2.Wrap(abt2.CodeFailed, err, "%s cannot be read; restore it", filepath.Join(dir, ledgerFile))
	}
	return l, nil
}

func (l ledger) save(dir string) error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = shimpb.WriteFile(filepath.Join(dir, ledgerFile), append(b, '\n'))
	}
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s cannot be written", filepath.Join(dir, ledgerFile))
	}
	return nil
}

// reserve gives out a number never given before and a port that nobody has.
func (p *Platform) reserve() (seq uint64, port int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := map[int]bool{}
	for _, i := range p.instances {
		taken[int(i.getSpec().GetPort())] = true
	}
	next := p.ledger
	if next.NextPort < p.cfg.PortMin || next.NextPort > p.cfg.PortMax {
		next.NextPort = p.firstPort()
	}
	for range p.cfg.PortMax - p.cfg.PortMin + 1 {
		candidate := next.NextPort
		if next.NextPort++; next.NextPort > p.cfg.PortMax {
			next.NextPort = p.cfg.PortMin
		}
		if taken[candidate] || !free(p.cfg.Host, candidate) {
			continue
		}
		next.LastInstance++
		if err := next.save(p.cfg.Dir); err != nil {
			return 0, 0, err
		}
		p.ledger = next
		return next.LastInstance, candidate, nil
	}
	return 0, 0, abt2.Errorf(abt2.CodeFailed, "ports %d to %d: all are taken; end what uses them, or give the server a wider range", p.cfg.PortMin, p.cfg.PortMax)
}

// firstPort is where the rotation begins. Data folders begin at different ports,
// so that two servers of one machine seldom reach for the same.
func (p *Platform) firstPort() int {
	h := fnv.New32a()
	h.Write([]byte(p.cfg.Dir))
	return p.cfg.PortMin + int(h.Sum32()%uint32(p.cfg.PortMax-p.cfg.PortMin+1))
}

// free tells whether nobody listens on a port. Some systems let two listen, one
// on the address and one on any: hence the call before the attempt.
func free(host string, port int) bool {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		return false
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// ephemeralPorts reads which ports the system gives out by itself, where it says so.
func ephemeralPorts() (lo, hi int, ok bool) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0, false
	}
	f := strings.Fields(string(b))
	if len(f) != 2 {
		return 0, 0, false
	}
	lo, err1 := strconv.Atoi(f[0])
	hi, err2 := strconv.Atoi(f[1])
	return lo, hi, err1 == nil && err2 == nil
}
