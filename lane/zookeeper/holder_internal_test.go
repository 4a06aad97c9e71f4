package zookeeper

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev/lane/zookeeper/zktest"
)

// TestLateEvent: what somebody has edited before Hold is put right, though its
// event is still on its way.
func TestLateEvent(t *testing.T) {
	e := zktest.Start(t, 1)
	c := Config{Addresses: e.Addresses(), SessionTimeout: zktest.SessionTimeout, Buffer: 64 << 10}.withDefaults()
	const leaf = "/navi_rpc/shop/Order/127.0.0.1:20000"
	h := &Holder{cfg: c, wake: make(chan struct{}, 1), changed: make(chan struct{}), fired: map[string]bool{}}
	var late atomic.Bool
	arrives, connected := make(chan struct{}), make(chan struct{}, 1)
	conn, closeConn, err := Connect(c, func(ev zk.Event) {
		switch {
		case late.Load():
			<-arrives // and with it everything behind it
		case ev.State == zk.StateHasSession:
			connected <- struct{}{}
		}
		h.event(ev)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn()
	other, closeOther, err := Connect(c, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer closeOther()

	<-connected
	want := map[string]string{leaf: "host-1"}
	h.Hold(want)
	var s session
	settle := func() {
		t.Helper()
		if held, err := s.settle(conn, h); err != nil || len(held.Paths) != 1 {
			t.Fatalf("holds %v, %v", held, err)
		}
	}
	settle() // hears of its own node
	h.Hold(want)
	settle()
	late.Store(true)
	for edited := false; !edited; { // fails until it is connected
		_, err := other.Set(leaf, []byte("by hand"), -1)
		edited = err == nil
	}
	time.AfterFunc(100*time.Millisecond, func() { close(arrives) }) // how slow the network is
	h.Hold(want)
	settle()
	<-arrives
	settle() // as the event has it do
	if data, _, err := other.Get(leaf); err != nil || string(data) != "host-1" {
		t.Errorf("there stands %q, %v", data, err)
	}
}
