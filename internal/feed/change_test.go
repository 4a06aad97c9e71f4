package feed_test

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"abt2.dev"
	"abt2.dev/internal/feed"
	"abt2.dev/lane/feedpb"
)

// TestChangesLeadToTheWhole gives an edge any routes after any others: what it
// makes of the changes is what it would have been sent whole.
func TestChangesLeadToTheWhole(t *testing.T) {
	s := start(t)
	r := &router{}
	s.joinEdge(t, r, "edge-1")
	revision := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		for range 3 {
			revision++
			want := unique(routes().Draw(rt, "routes"))
			want.Table.Mark = abt2.Mark{Epoch: "e", Revision: revision}
			if err := s.Apply(testContext(t), "edge-1", want); err != nil {
				rt.Fatal(err)
			}
			r.mu.Lock()
			got := r.served
			r.mu.Unlock()
			if !proto.Equal(got, feed.RoutesToProto(want)) {
				rt.Fatalf("got %v\nwant %v", got, feed.RoutesToProto(want))
			}
		}
	})
}

// unique sorts the lists of routes by identity, as a table has them.
func unique(r abt2.EdgeRoutes) abt2.EdgeRoutes {
	t := &r.Table
	t.Products = uniqueBy(t.Products, func(a, b abt2.TableProduct) int { return cmp.Compare(a.Name, b.Name) })
	t.Environments = uniqueBy(t.Environments, func(a, b abt2.TableEnvironment) int { return cmp.Compare(a.ID, b.ID) })
	t.Versions = uniqueBy(t.Versions, func(a, b abt2.TableVersion) int {
		return cmp.Or(cmp.Compare(a.ID.Module, b.ID.Module), cmp.Compare(a.ID.Number, b.ID.Number))
	})
	t.Names = uniqueBy(t.Names, func(a, b abt2.Name) int { return cmp.Compare(a.Module, b.Module) })
	return r
}

func uniqueBy[T any](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.CompactFunc(list, func(a, b T) bool { return compare(a, b) == 0 })
}

// sent is what a router of changes or of wholes is given.
type sent struct {
	number         uint64
	whole          bool
	from, revision uint64
}

// next reads the next table or change.
func (r *rawRouter) next(t *testing.T) sent {
	t.Helper()
	m := &feedpb.ServerMessage{}
	for m.GetTable() == nil && m.GetTableChange() == nil {
		b, err := r.receive()
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
	}
	if c := m.GetTableChange(); c != nil {
		return sent{m.GetNumber(), false, c.GetFrom().GetRevision(), c.GetTo().GetRevision()}
	}
	return sent{m.GetNumber(), true, 0, m.GetTable().GetMark().GetRevision()}
}

func (r *rawRouter) answer(t *testing.T, s sent, refused string) {
	t.Helper()
	if err := r.send(appliedMessage(&feedpb.Applied{Mark: &feedpb.Mark{Epoch: "e", Revision: s.revision}, Number: s.number, Refused: refused})); err != nil {
		t.Fatal(err)
	}
}

func (s *server) joinRaw(t *testing.T, hello *feedpb.Hello) *rawRouter {
	t.Helper()
	r := s.dialRaw(t, "instance:"+hello.GetRouterId())
	if err := r.send(helloMessage(hello)); err != nil {
		t.Fatal(err)
	}
	return r
}

func wantSent(t *testing.T, got, want sent) {
	t.Helper()
	if got != want {
		t.Fatalf("sent %+v, want %+v", got, want)
	}
}

func TestWholeFirstThenChanges(t *testing.T) {
	s := start(t)
	s.Publish(fleetTable(1))
	r := s.joinRaw(t, processHello("order-1"))
	whole := r.next(t)
	wantSent(t, whole, sent{1, true, 0, 1})
	r.answer(t, whole, "")
	s.Publish(fleetTable(2))
	s.Publish(fleetTable(3)) // the answer to 2 is not needed: the stream keeps the order
	for _, want := range []sent{{2, false, 1, 2}, {3, false, 2, 3}} {
		got := r.next(t)
		wantSent(t, got, want)
		r.answer(t, got, "")
	}
	s.confirmed(t, fleetTable(3).Mark)

	other := fleetTable(1)
	other.Mark.Epoch = "restored"
	s.Publish(other)
	wantSent(t, r.next(t), sent{4, true, 0, 1})

	again := s.joinRaw(t, processHello("order-1")) // who joins again starts from the whole, whatever it has
	wantSent(t, again.next(t), sent{4, true, 0, 1})
}

func TestRouterWithoutChangesReceivesWholes(t *testing.T) {
	s := start(t)
	s.Publish(fleetTable(1))
	hello := processHello("order-1")
	hello.Changes = false
	r := s.joinRaw(t, hello)
	for revision := range uint64(3) {
		got := r.next(t)
		wantSent(t, got, sent{revision + 1, true, 0, revision + 1})
		r.answer(t, got, "")
		s.confirmed(t, fleetTable(revision+1).Mark)
		s.Publish(fleetTable(revision + 2))
	}
}

func TestRefusedChangeIsFollowedByTheWhole(t *testing.T) {
	s := start(t)
	s.Publish(fleetTable(1))
	r := s.joinRaw(t, processHello("order-1"))
	r.answer(t, r.next(t), "")
	s.Publish(fleetTable(2))
	s.Publish(fleetTable(3))
	second, third := r.next(t), r.next(t)
	r.answer(t, second, "not the base")
	whole := r.next(t)
	wantSent(t, whole, sent{3, true, 0, 3})
	r.answer(t, third, "not the base") // on its way already: no second whole
	r.answer(t, whole, "")
	s.confirmed(t, fleetTable(3).Mark)

	s.Publish(fleetTable(4))
	r.answer(t, r.next(t), "contradicts itself")
	r.answer(t, r.next(t), "contradicts itself") // the whole too: it is not sent for ever
	s.until(t, "order-1", func(r feed.RouterStatus, _ bool) bool { return r.Refused == "contradicts itself" })
	if sent, queued := s.Behind("order-1"); sent+queued != 0 {
		t.Errorf("after a refused whole %d are sent and %d queued", sent, queued)
	}
	s.Publish(fleetTable(5))
	got := r.next(t)
	wantSent(t, got, sent{5, true, 0, 5})
	r.answer(t, got, "")
	s.confirmed(t, fleetTable(5).Mark)
}

// TestRouterThatDoesNotRead is given more than its windows hold. The others
// confirm all the same, and when it reads again it gets the newest, whole.
func TestRouterThatDoesNotRead(t *testing.T) {
	for _, changes := range []bool{true, false} {
		s := start(t)
		s.Publish(fleetTable(1))
		hello := processHello("slow")
		hello.Changes = changes
		slow := s.joinRaw(t, hello)
		s.joinProcess(t, "quick")
		s.until(t, "slow", connected)
		s.until(t, "quick", connected)
		const last = 100
		for revision := uint64(2); revision <= last; revision++ {
			s.Publish(fleetTable(revision))
			if sent, queued := s.Behind("slow"); sent+queued > feed.MaxBehind+1 {
				t.Fatalf("revision %d: %d are sent and %d queued", revision, sent, queued)
			}
		}
		if err := s.WaitApplied(testContext(t), fleetTable(last).Mark, func(r feed.RouterStatus) bool { return r.ID == "quick" }); err != nil {
			t.Fatal(err)
		}
		if late := s.Laggards(fleetTable(1).Mark); len(late) != 1 || late[0].ID != "slow" {
			t.Fatalf("laggards: %+v", late)
		}
		var got sent
		messages := 0
		for got.revision != last {
			got = slow.next(t)
			slow.answer(t, got, "")
			messages++
		}
		if !got.whole || messages > feed.MaxBehind+1 {
			t.Errorf("changes %v: caught up with %d messages, the last %+v; want the whole after at most %d", changes, messages, got, feed.MaxBehind)
		}
		s.confirmed(t, fleetTable(last).Mark)
		s.stop()
	}
}

// TestCloseDoesNotWaitForARouterThatDoesNotRead ends while a message is being sent.
func TestCloseDoesNotWaitForARouterThatDoesNotRead(t *testing.T) {
	s := start(t)
	s.joinRaw(t, processHello("slow"))
	s.until(t, "slow", connected)
	huge := table(1)
	huge.Products[0].Hosts = []string{strings.Repeat("h", 1<<20)} // more than the window, of 64 KB
	s.Publish(huge)
	ctx := testContext(t)
	for sent := 0; sent == 0; sent, _ = s.Behind("slow") {
		if ctx.Err() != nil {
			t.Fatal("the table is not sent")
		}
		runtime.Gosched()
	}
	closed := make(chan struct{})
	go func() { defer close(closed); s.Close() }()
	select {
	case <-closed:
	case <-ctx.Done():
		t.Fatal("Close hangs")
	}
}
