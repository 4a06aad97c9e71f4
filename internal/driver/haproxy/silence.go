package haproxy

import (
	"strings"
	"sync"
	"time"

	"abt2.dev"
)

// silence remembers which processes gave no answer because they are just
// ending. Of some who ask such a one HAProxy's master never lets the connection
// go (seen on 2.6.12), and it takes ten. So it is asked ever more rarely.
type silence struct {
	mu sync.Mutex
	of map[string]pause // by pid
}

type pause struct {
	length time.Duration
	until  time.Time
}

const firstSilence = 100 * time.Millisecond

// lasts reports whether the process is not to be asked now.
func (s *silence) lasts(pid string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.of[pid].until)
}

// note takes an answer.
func (s *silence) note(pid, command, said string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if said != "" {
		delete(s.of, pid)
		return
	}
	if !speaks(command) {
		return
	}
	for other, p := range s.of { // those that have ended
		if now.Sub(p.until) > patience {
			delete(s.of, other)
		}
	}
	if s.of == nil {
		s.of = map[string]pause{}
	}
	p := pause{length: max(firstSilence, 2*s.of[pid].length)}
	p.until = now.Add(p.length)
	s.of[pid] = p
}

// speaks reports whether the command is never answered by silence.
func speaks(command string) bool {
	for _, c := range []string{"show info", "prepare map "} {
		if strings.HasPrefix(command, c) {
			return true
		}
	}
	return false
}

// errSilent is why a process is not asked.
var errSilent = abt2.Errorf(abt2.CodeFailed, "it gives no answer, as one that is just ending")
