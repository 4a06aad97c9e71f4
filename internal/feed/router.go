package feed

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// A router may send unaskedRate messages a second that nobody asked for, and
// unaskedBurst at once. Answers are bounded by what was sent.
const (
	unaskedRate  = 10
	unaskedBurst = 100
)

// RouterStatus is all that is known of a router.
type RouterStatus struct {
	abt2.RouterStatus
	Instance   abt2.InstanceID                // of a process
	Refused    string                         // why it refused what was sent last; empty: it did not
	Carried    map[abt2.EnvironmentID]Carried // as last reported; of one that is not connected it may be long ago
	MixedPairs map[string]uint64              // RouterStatus.Mixed by "wanted own"
	Fallbacks  uint64                         // requests of a preview answered by the online version
}

// Carried counts a router's requests in flight in one environment.
type Carried struct {
	Count  uint64
	Oldest time.Duration // age of the oldest when it was reported
}

// router is a router as the feed knows it, guarded by Feed.mu.
type router struct {
	status    RouterStatus
	stream    *stream        // nil: not connected
	routes    *publication   // desired, of an edge; nil: none
	abilities []abt2.Ability // as its last hello said
	// unasked bounds the hellos and reports of a router, across its streams.
	unasked *rate.Limiter

	// Numbers of the publications answered on the current stream.
	applied, refused uint64
	// read is the id of the last Read that a report on the current stream answered.
	read uint64
}

func newRouter() *router {
	return &router{unasked: rate.NewLimiter(unaskedRate, unaskedBurst)}
}

func (r *router) isEdge() bool { return r.status.Role == string(KindEdge) }

// join makes s the router's stream. The error is that the router claims to have
// what was never published: nothing has changed then.
func (r *router) join(h *feedpb.Hello, s *stream, published *publication) error {
	claim := markFromProto(h.GetApplied())
	if published != nil && older(published.mark, claim) {
		return invalid("applied: revision %d was never published, the newest is %d", claim.Revision, published.mark.Revision)
	}
	r.stream.end(errReplaced)
	r.stream = s
	r.applied, r.refused, r.read = 0, 0, 0
	st := &r.status
	st.ID, st.Role = h.GetRouterId(), roleName(h.GetRole())
	st.Instance = abt2.InstanceID(h.GetInstance())
	st.Version, _ = abt2.ParseVersionID(h.GetVersion()) // checked; zero of an edge
	st.Connected, st.Refused = true, ""
	st.Applied = claim
	st.Stamper = st.Stamper || h.GetStamper() || r.isEdge()
	r.abilities = nil
	for _, a := range h.GetAbilities() {
		r.abilities = append(r.abilities, abt2.Ability(a))
	}
	s.publish(published)
	return nil
}

// publish sends p. A router that joined before anything was published, and
// claimed to have more than that, is disconnected and has nothing.
func (r *router) publish(p *publication) {
	if claim := r.status.Applied; older(p.mark, claim) {
		r.status.Applied = abt2.Mark{}
		r.stream.end(invalid("applied: revision %d was never published, the newest is %d", claim.Revision, p.mark.Revision))
		return
	}
	r.stream.publish(p)
}

func roleName(r feedpb.Role) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_"))
}

func (r *router) onApplied(m *feedpb.Applied) error {
	u, err := r.stream.answer(m)
	switch {
	case err != nil:
		return err
	case m.GetRefused() == "":
		r.applied = max(r.applied, u.number)
		r.status.Applied, r.status.Refused = u.mark, ""
	case !u.change: // of a change the whole is still to come
		r.refused = max(r.refused, u.number)
		r.status.Refused = m.GetRefused()
	}
	return nil
}

func (r *router) onReport(m *feedpb.Report) error {
	if err := r.onAnswer(m.GetReadId()); err != nil {
		return err
	}
	st := &r.status
	st.Restamped, st.Fallbacks, st.MixedPairs, st.Mixed = m.GetRestamped(), m.GetFallbacks(), m.GetMixed(), 0
	for _, n := range m.GetMixed() {
		st.Mixed += n
	}
	st.Stamper = st.Stamper || m.GetStamped() > 0
	st.Carried = make(map[abt2.EnvironmentID]Carried, len(m.GetCarried()))
	for env, c := range m.GetCarried() {
		st.Carried[abt2.EnvironmentID(env)] = Carried{Count: c.GetCount(), Oldest: time.Duration(c.GetOldestAgeMs()) * time.Millisecond}
	}
	r.read = max(r.read, m.GetReadId())
	return nil
}

// onAnswer takes note of a message that answers a Read, or, where it answers
// none, of one more that nobody asked for.
func (r *router) onAnswer(read uint64) error {
	if read != 0 {
		return r.stream.answerRead(read)
	}
	return r.onUnasked()
}

func (r *router) onUnasked() error {
	if !r.unasked.Allow() {
		return exhausted("more than %d messages a second that nobody asked for", unaskedRate)
	}
	return nil
}

// Routers returns every known router, sorted by id. The maps in it are nobody
// else's to change: treat them as read only.
func (f *Feed) Routers() []RouterStatus {
	return f.routersThat(func(RouterStatus) bool { return true })
}

// Laggards returns the routers that have not applied everything up to mark,
// sorted by id.
func (f *Feed) Laggards(mark abt2.Mark) []RouterStatus {
	return f.routersThat(func(r RouterStatus) bool { return !r.Applied.Covers(mark) })
}

func (f *Feed) routersThat(match func(RouterStatus) bool) []RouterStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.matching(match)
}

// matching is called with f.mu held.
func (f *Feed) matching(match func(RouterStatus) bool) []RouterStatus {
	var out []RouterStatus
	for _, r := range f.routers {
		if match(r.status) {
			out = append(out, r.status)
		}
	}
	slices.SortFunc(out, func(a, b RouterStatus) int { return strings.Compare(a.ID, b.ID) })
	return out
}
