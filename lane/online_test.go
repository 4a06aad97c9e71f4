package lane_test

import (
	"context"
	"errors"
	"testing"

	"abt2.dev/lane"
)

func TestOnlineFollowsTheSwitch(t *testing.T) {
	l, f := joinTable(t, tableOf(1, 43, nil, "42 online web@2", "43 preview web@1"))
	is, changed := l.WatchOnline()
	if is || l.Online() {
		t.Fatal("a preview's version says it is online")
	}
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.WaitOnline(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("without patience: %v", err)
	}

	waited := make(chan error, 1)
	go func() { waited <- l.WaitOnline(testContext(t)) }()
	f.publish(tableOf(2, 43, nil, "42 backup web@2", "43 online web@1"))
	if err := <-waited; err != nil || !l.Online() {
		t.Fatalf("after the commit: %v, online %v", err, l.Online())
	}
	<-changed

	is, changed = l.WatchOnline()
	if !is {
		t.Fatal("not online")
	}
	f.publish(tableOf(3, 43, nil, "42 online web@2", "43 preview web@1"))
	select {
	case <-changed:
	case <-testContext(t).Done():
		t.Fatal("the rollback was not told")
	}
	if l.Online() {
		t.Error("still online after the rollback")
	}
}

func TestOnlineWhenNothingIs(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 43, nil, "43 preview web@1"))
	if l.Online() {
		t.Error("online in a product that has nothing online")
	}
}

func TestWaitOnlineEndsWithTheLane(t *testing.T) {
	l, _ := joinTable(t, tableOf(1, 43, nil, "42 online web@2", "43 preview web@1"))
	waited := make(chan error, 1)
	go func() { waited <- l.WaitOnline(context.Background()) }()
	if err := l.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err == nil {
		t.Error("a closed lane has come online")
	}
}

func TestOnlineOutsideAbt2(t *testing.T) {
	l, err := lane.Join(context.Background(), lane.Static(map[string][]string{"order": {"127.0.0.1:1"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close(context.Background()) }()
	if err := l.WaitOnline(context.Background()); err != nil || !l.Online() {
		t.Errorf("got %v, %v", err, l.Online())
	}
}
