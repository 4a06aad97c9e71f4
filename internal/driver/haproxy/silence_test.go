package haproxy

import (
	"testing"
	"time"
)

func TestSilence(t *testing.T) {
	var s silence
	now := time.Now()
	asked := 0
	for end := now.Add(patience); now.Before(end); now = now.Add(lookAgain) {
		if s.lasts("7", now) {
			continue
		}
		asked++
		s.note("7", "show map live.map", "", now) // which may be empty
		s.note("7", "prepare map live.map", "", now)
	}
	if asked > 7 {
		t.Errorf("asked %d times in %s; two sessions each, and ten are too many", asked, patience)
	}
	if s.lasts("8", now) {
		t.Error("another process is not asked")
	}
	s.note("7", "show info", "Pid: 7", now)
	if s.lasts("7", now) || len(s.of) != 0 {
		t.Error("one that answers again is not asked")
	}
	for _, command := range []string{"show map live.map", "add map @1 live.map <<", "commit map @1 live.map"} {
		if s.note("7", command, "", now); s.lasts("7", now) {
			t.Errorf("%q is answered by silence", command)
		}
	}
	s.note("7", "show info", "", now)
	if s.note("9", "show info", "", now.Add(time.Minute)); len(s.of) != 1 {
		t.Errorf("those that have ended are remembered: %v", s.of)
	}
}
