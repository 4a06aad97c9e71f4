package builtin_test

import (
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
)

// An edge that somebody else keeps running is waited for, and never started or
// replaced.
func TestAnEdgeThatIsSomebodyElses(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	s, err := builtin.NewSupervisor(builtin.SupervisorConfig{
		Dir: dir, ID: edgeID, Command: []string{"/nowhere/abt2"}, Takeover: []string{"--takeover"}, RestartedBy: "restart it",
	})
	if err != nil {
		t.Fatal(err)
	}
	leave := run(t, s)
	theirs := newSupervisor(t, dir, f.address)
	for range 2 { // the second one comes while nobody starts it in place of the first
		d, err := theirs.Ready(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Ready(t.Context()); err != nil || !got.Started.Equal(d.Started) {
			t.Errorf("sees the edge of %v, error %v; want that of %v", got.Started, err, d.Started)
		}
		if err := s.Upgrade(t.Context()); abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "restart it") {
			t.Errorf("upgrade: %v, want refused, with what to do instead", err)
		}
		if err := theirs.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		theirs = newSupervisor(t, dir, f.address)
	}
	leave()
}
