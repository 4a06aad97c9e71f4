package zktest_test

import (
	"net"
	"strings"
	"testing"

	"abt2.dev/lane/zookeeper/zktest"
)

func TestAlone(t *testing.T) {
	e := zktest.Start(t, 1)
	if got := e.Leader(); got != 0 {
		t.Errorf("server %d leads", got)
	}
	if got := e.Ask(0, "srvr"); !strings.Contains(got, "Mode: standalone") {
		t.Errorf("srvr: %q", got)
	}
	e.Kill(0)
	if got := e.Ask(0, "srvr"); got != "" {
		t.Errorf("a killed server answers %q", got)
	}
	e.Restart(0)
	e.AwaitReady()
}

func TestEnsemble(t *testing.T) {
	e := zktest.Start(t, 3)
	first := e.Leader()
	e.Kill(first)
	if second := e.Leader(); second == first {
		t.Errorf("server %d leads though it was killed", first)
	}
	e.Restart(first)
	e.AwaitReady()

	second := e.Leader()
	e.Pause(second)
	if got := e.Leader(); got == second {
		t.Errorf("server %d leads though it stands still", second)
	}
	e.Resume(second)
	e.AwaitReady()

	e.RestartAll()
	if n := len(e.Addresses()); n != e.Len() || strings.Count(e.Connect(), ",") != n-1 {
		t.Errorf("addresses %q of %d servers", e.Connect(), e.Len())
	}
}

func TestLink(t *testing.T) {
	e := zktest.Start(t, 1)
	l := e.Link(t)
	asks := func() bool {
		c, err := net.Dial("tcp", l.Addresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("srvr")); err != nil {
			return false
		}
		n, err := c.Read(make([]byte, 1024))
		return err == nil && n > 0
	}
	if !asks() {
		t.Error("no answer through the link")
	}
	l.Cut()
	if asks() {
		t.Error("an answer through a link that is cut")
	}
	l.Heal()
	if !asks() {
		t.Error("no answer through a link that was healed")
	}
}
