package zookeeper_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// TestWatchesAcrossConnections: what happens while the connection is down is
// told afterwards, however busy the client is when it comes back.
func TestWatchesAcrossConnections(t *testing.T) {
	e := zktest.StartPatient(t, 1)
	link := e.Link(t)
	other := connect(t, e)
	const node = "/watched"
	if _, err := other.Create(node, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	c := config(link.Addresses())
	c.SessionTimeout = 30 * time.Second // longer than the link is down
	c.Buffer = 1 << 20                  // its watches are set anew by 128 KiB
	conn, closeConn, err := zookeeper.Connect(c, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)

	// Many and long: the client takes its time to set them anew.
	for i := range 5000 {
		for { // fails until the first connection is there
			if _, _, _, err := conn.ExistsW(fmt.Sprint("/never/", strings.Repeat("x", 200), i)); err == nil {
				break
			}
		}
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(stop)
	for range 8 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _, _ = conn.Exists(node) // fails while the link is down
				}
			}
		})
	}
	for round := range 5 {
		var fires <-chan zk.Event
		for fires == nil { // fails until the connection is back
			if data, _, ch, err := conn.GetW(node); err == nil {
				if want := fmt.Sprint(round - 1); round > 0 && string(data) != want {
					t.Fatalf("round %d: reads %q after a watch fired for %q", round, data, want)
				}
				fires = ch
			}
		}
		link.Cut()
		if _, err := other.Set(node, fmt.Append(nil, round), -1); err != nil {
			t.Fatal(err)
		}
		link.Heal()
		select {
		case ev := <-fires:
			if ev.Type != zk.EventNodeDataChanged {
				t.Fatalf("round %d: the watch ended with %v", round, ev)
			}
		case <-time.After(time.Minute):
			t.Fatalf("round %d: the watch has not fired", round)
		}
	}
}
