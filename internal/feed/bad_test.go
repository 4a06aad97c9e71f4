package feed_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"abt2.dev/internal/feed"
	"abt2.dev/lane/feedpb"
)

func (s *server) dialRaw(t testing.TB, credential string) *rawRouter {
	t.Helper()
	r, err := dialRaw(net.Dialer{}, strings.TrimPrefix(s.url, "http://"), credential)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.conn.Close() })
	return r
}

// ended reads on until the server ends the stream.
func (r *rawRouter) ended(t *testing.T) *streamEnd {
	t.Helper()
	for {
		_, err := r.receive()
		if err == nil {
			continue
		}
		var end *streamEnd
		if !errors.As(err, &end) {
			t.Fatalf("the connection broke: %v", err)
		}
		return end
	}
}

// The statuses of gRPC that a stream ends with.
const (
	invalidArgument    = 3
	permissionDenied   = 7
	resourceExhausted  = 8
	failedPrecondition = 9
)

// TestWhatCannotBeTrueEndsTheStream lets a router say what it has no reason to
// say. It counts as having confirmed nothing, and the others go on.
func TestWhatCannotBeTrueEndsTheStream(t *testing.T) {
	applied := func(epoch string, revision, number uint64) *feedpb.RouterMessage {
		return appliedMessage(&feedpb.Applied{Mark: &feedpb.Mark{Epoch: epoch, Revision: revision}, Number: number})
	}
	report := func(read uint64) *feedpb.RouterMessage {
		return &feedpb.RouterMessage{Message: &feedpb.RouterMessage_Report{Report: &feedpb.Report{ReadId: read}}}
	}
	claims := func(m *feedpb.Mark) *feedpb.RouterMessage {
		h := processHello("order-1")
		h.Applied = m
		return helloMessage(h)
	}
	hello := helloMessage(processHello("order-1"))
	changed := func(change func(*feedpb.Hello)) *feedpb.RouterMessage {
		m := proto.CloneOf(hello)
		change(m.GetHello())
		return m
	}
	for _, tt := range []struct {
		name   string
		say    []*feedpb.RouterMessage
		status int
		text   string
	}{
		{"a number never sent", []*feedpb.RouterMessage{hello, applied("e", 7, 99)}, invalidArgument, "message 99, of revision 7, is answered"},
		{"no number", []*feedpb.RouterMessage{hello, applied("e", 7, 0)}, invalidArgument, "message 0"},
		{"a revision never sent", []*feedpb.RouterMessage{hello, applied("e", 9, 1)}, invalidArgument, "revision 9 of epoch"},
		{"an epoch never sent", []*feedpb.RouterMessage{hello, applied("f", 7, 1)}, invalidArgument, `epoch "f"`},
		{"a refusal of what was never sent", []*feedpb.RouterMessage{hello, appliedMessage(&feedpb.Applied{Number: 5, Refused: "no"})}, invalidArgument, "message 5"},
		{"the report of a read never asked", []*feedpb.RouterMessage{hello, report(1 << 60)}, invalidArgument, "read 1152921504606846976 is answered"},
		{"routes never asked for", []*feedpb.RouterMessage{hello, {Message: &feedpb.RouterMessage_Routes{Routes: &feedpb.ServedRoutes{ReadId: 3}}}}, invalidArgument, "read 3 is answered"},
		{"hello twice", []*feedpb.RouterMessage{hello, hello}, invalidArgument, "a second hello"},
		{"no hello", []*feedpb.RouterMessage{report(0)}, invalidArgument, "must be a hello"},
		{"nothing in the message", []*feedpb.RouterMessage{{}}, invalidArgument, "must be a hello"},
		{"a foreign id", []*feedpb.RouterMessage{helloMessage(processHello("order-2"))}, permissionDenied, `not instance "order-2"'s`},
		{"an unknown role", []*feedpb.RouterMessage{changed(func(h *feedpb.Hello) { h.Role = 99 })}, invalidArgument, "role 99"},
		{"an unknown protocol", []*feedpb.RouterMessage{changed(func(h *feedpb.Hello) { h.Protocol = 9 })}, failedPrecondition, "protocol 9"},
		{"a claim to a revision never published", []*feedpb.RouterMessage{claims(&feedpb.Mark{Epoch: "e", Revision: 1 << 63})}, invalidArgument, "was never published, the newest is 7"},
		{"a claim without epoch", []*feedpb.RouterMessage{claims(&feedpb.Mark{Revision: 7})}, invalidArgument, "without its epoch"},
		{"a huge epoch", []*feedpb.RouterMessage{claims(&feedpb.Mark{Epoch: strings.Repeat("e", 1000)})}, invalidArgument, "an epoch of 1000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			s.Publish(table(7))
			s.joinProcess(t, "good")
			s.until(t, "good", connected)
			r := s.dialRaw(t, "instance:order-1")
			for i, m := range tt.say {
				if i == 1 {
					r.next(t) // which nobody answers
				}
				if err := r.send(m); err != nil {
					t.Fatal(err)
				}
			}
			if end := r.ended(t); end.status != tt.status || !strings.Contains(end.message, tt.text) {
				t.Errorf("%v; want status %d and %q", end, tt.status, tt.text)
			}
			s.until(t, "order-1", func(r feed.RouterStatus, _ bool) bool { return !r.Connected && r.Applied.Revision == 0 })
			s.Publish(table(8))
			if err := s.WaitApplied(testContext(t), table(8).Mark, func(r feed.RouterStatus) bool { return r.ID == "good" }); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAnswerCountsOnce confirms the same message again.
func TestAnswerCountsOnce(t *testing.T) {
	s := start(t)
	s.Publish(table(7))
	r := s.joinRaw(t, processHello("order-1"))
	got := r.next(t)
	r.answer(t, got, "")
	r.answer(t, got, "")
	if end := r.ended(t); end.status != invalidArgument || !strings.Contains(end.message, "has been answered before") {
		t.Errorf("got %v", end)
	}
	s.confirmed(t, table(7).Mark) // the first was true
}

// TestClaimFromBeforeTheFirstTable joins a server that has published nothing
// yet, with a revision that it will not reach.
func TestClaimFromBeforeTheFirstTable(t *testing.T) {
	s := start(t)
	h := processHello("order-1")
	h.Applied = &feedpb.Mark{Epoch: "e", Revision: 99}
	r := s.joinRaw(t, h)
	s.until(t, "order-1", connected)
	s.Publish(table(7))
	if end := r.ended(t); end.status != invalidArgument || !strings.Contains(end.message, "revision 99 was never published, the newest is 7") {
		t.Errorf("got %v", end)
	}
	if late := s.Laggards(table(7).Mark); len(late) != 1 {
		t.Errorf("laggards: %+v", late)
	}
}

// TestFloodEndsTheStream reports without pause, and again after joining anew.
func TestFloodEndsTheStream(t *testing.T) {
	s := start(t)
	s.Publish(table(1))
	s.joinProcess(t, "good")
	flood := &feedpb.RouterMessage{Message: &feedpb.RouterMessage_Report{Report: &feedpb.Report{Carried: map[uint64]*feedpb.Carried{1: {Count: 1}}}}}
	for range 2 {
		r := s.joinRaw(t, processHello("order-1"))
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for r.send(flood) == nil { // until the test has seen the end
			}
		}()
		if end := r.ended(t); end.status != resourceExhausted {
			t.Errorf("got %v", end)
		}
		r.conn.Close()
		<-stopped
	}
	s.Publish(table(2))
	if err := s.WaitApplied(testContext(t), table(2).Mark, func(r feed.RouterStatus) bool { return r.ID == "good" }); err != nil {
		t.Error(err)
	}
}

// TestUnansweredReadsAreBounded asks a router that answers nothing.
func TestUnansweredReadsAreBounded(t *testing.T) {
	s := start(t)
	r := s.joinRaw(t, processHello("order-1"))
	s.until(t, "order-1", connected)
	for range 65 {
		if err := s.WaitDrained(ended(t), 1); err == nil {
			t.Fatal("drained without an answer")
		}
	}
	if end := r.ended(t); end.status != resourceExhausted || !strings.Contains(end.message, "64 questions are unanswered") {
		t.Errorf("got %v", end)
	}
}

// TestHugeMessageIsRefused announces more than a process may say.
func TestHugeMessageIsRefused(t *testing.T) {
	s := start(t)
	r := s.joinRaw(t, processHello("order-1"))
	s.until(t, "order-1", connected)
	if err := r.frames.WriteData(1, true, []byte{0, 0, 0x20, 0, 0}); err != nil { // 2 MiB
		t.Fatal(err)
	}
	if end := r.ended(t); end.status != resourceExhausted {
		t.Errorf("got %v", end)
	}
}
