package feed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

const (
	// maxBehind bounds the publications that a router has not answered, sent or
	// queued; further ones become a single whole, sent when it answers again.
	maxBehind = 8
	// maxReads bounds the Reads that a router has not answered.
	maxReads = 64
	// lastWords is how long a stream that has been ended may take to send what it
	// is sending, and why it ends: a router that does not read holds up nobody.
	lastWords = time.Second
)

// stream is the sending side of a router's stream. Senders leave their messages
// and go on. All methods may be called from any goroutine, publish and end also
// on nil.
type stream struct {
	changes bool          // the router takes changes
	out     writer        // of send alone, beside its deadline
	wake    chan struct{} // one slot
	ended   chan struct{} // closed by the first end

	mu      sync.Mutex
	latest  *publication // what the next is a change of, once all is answered; nil: nothing
	queue   []update     // to be sent: one whole, or changes, each of the one before
	sent    []update     // unanswered, the oldest first
	reads   []*feedpb.Read
	asked   []uint64 // ids of the Reads that are unanswered, sent or not
	cause   error    // once ended is closed; nil: a goodbye
	isEnded bool
}

// update is a publication as one router receives it.
type update struct {
	*publication
	change bool
}

func newStream(changes bool, out writer) *stream {
	return &stream{changes: changes, out: out, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// publish queues p: as a change for a router that will have applied, by then,
// exactly what p changes, and as a whole in the place of all that is queued for
// any other.
func (s *stream) publish(p *publication) {
	if s == nil || p == nil {
		return
	}
	s.mu.Lock()
	follows := s.changes && p.change != nil && s.latest != nil && s.latest.mark == p.from
	s.latest = p
	switch {
	case follows && !hasWhole(s.queue) && len(s.sent)+len(s.queue) < maxBehind:
		s.queue = append(s.queue, update{p, true})
	default:
		s.queue = append(s.queue[:0], update{p, false})
	}
	s.mu.Unlock()
	s.signal()
}

func hasWhole(updates []update) bool {
	return slices.ContainsFunc(updates, func(u update) bool { return !u.change })
}

// answer takes note of what a router says of the oldest unanswered publication
// of its number, and thereby of those before.
func (s *stream) answer(a *feedpb.Applied) (update, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.sent, func(u update) bool { return u.number == a.GetNumber() })
	if i < 0 {
		return update{}, invalid("message %d, of revision %d, is answered, but it was not sent on this stream or has been answered before", a.GetNumber(), a.GetMark().GetRevision())
	}
	u := s.sent[i]
	if got := markFromProto(a.GetMark()); a.GetRefused() == "" && got != u.mark {
		return update{}, invalid("revision %d of epoch %q is confirmed by the answer to message %d, which is revision %d of epoch %q", got.Revision, got.Epoch, u.number, u.mark.Revision, u.mark.Epoch)
	}
	s.sent = slices.Delete(s.sent, 0, i+1)
	if a.GetRefused() != "" {
		s.refused(u)
	}
	s.signal() // there is room now
	return u, nil
}

// refused provides for a router that stays at what it had: changes that are on
// their way lead nowhere. A refused whole is not sent again.
func (s *stream) refused(u update) {
	switch {
	case hasWhole(s.sent) || hasWhole(s.queue):
	case u.change || len(s.sent) > 0 || len(s.queue) > 0:
		s.queue = append(s.queue[:0], update{s.latest, false})
	default:
		s.latest = nil // the next is sent whole
	}
}

// ask queues a question, and ends a stream on which too many are unanswered.
func (s *stream) ask(r *feedpb.Read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == maxReads {
		s.endLocked(exhausted("%d questions are unanswered", maxReads))
		return
	}
	s.asked = append(s.asked, r.GetId())
	s.reads = append(s.reads, r)
	s.signal()
}

// answerRead takes note that a Read has been answered.
func (s *stream) answerRead(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.asked, id)
	if i < 0 {
		return invalid("read %d is answered, but it was not asked on this stream or has been answered before", id)
	}
	s.asked = slices.Delete(s.asked, i, i+1)
	return nil
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next returns what is to be sent next; the update's publication is nil where
// there is none, or the router is too far behind.
func (s *stream) next() (update, []*feedpb.Read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reads := s.reads
	s.reads = nil
	if len(s.queue) == 0 || len(s.sent) >= maxBehind {
		return update{}, reads
	}
	u := s.queue[0]
	s.queue = slices.Delete(s.queue, 0, 1)
	s.sent = append(s.sent, u)
	if len(s.queue) > 0 {
		s.signal()
	}
	return u, reads
}

// end makes send return err. Only the first end counts.
func (s *stream) end(err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(err)
}

func (s *stream) endLocked(err error) {
	if s.isEnded {
		return
	}
	s.isEnded, s.cause = true, err
	_ = s.out.SetWriteDeadline(time.Now().Add(lastWords)) // of a stream whose connection is gone: no matter
	close(s.ended)
}

// send sends what is left for it until end or ctx.
func (s *stream) send(ctx context.Context, conn *bidi) error {
	err := conn.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Welcome{Welcome: &feedpb.Welcome{Protocol: protocol}}})
	for err == nil {
		select {
		case <-s.wake:
		case <-s.ended:
			return s.cause
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		u, reads := s.next()
		if u.publication != nil {
			err = s.out.write(u.encoded())
		}
		for _, r := range reads {
			err = errors.Join(err, conn.Send(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Read{Read: r}}))
		}
	}
	return err
}

func (u update) encoded() encoded {
	if u.change {
		return u.publication.change
	}
	return u.whole
}

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, abt2.Errorf(abt2.CodeInvalid, format, args...))
}

func exhausted(format string, args ...any) error {
	return connect.NewError(connect.CodeResourceExhausted, abt2.Errorf(abt2.CodeRefused, format, args...))
}
