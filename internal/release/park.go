package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// parkedAlready returns the session that a park of the operator has set aside,
// if the product is free: the newest one. Nil: there is none.
func parkedAlready(s *abt2.State, q abt2.VerbRequest) *abt2.Session {
	if s.Session(q.Product) != nil {
		return nil
	}
	for _, sess := range slices.Backward(s.Parked(s.Products[q.Product])) {
		if sess.Operator == q.Operator {
			return sess
		}
	}
	return nil
}

// unparkedAlready reports whether the session that an unpark asks for is open.
func unparkedAlready(s *abt2.State, q abt2.VerbRequest) bool {
	sess := s.Session(q.Product)
	if sess == nil || sess.State != abt2.SessionOpen {
		return false
	}
	return q.Session == sess.ID || q.Session == 0 && len(s.Parked(s.Products[q.Product])) == 0
}

// park sets the session aside. What its cookie leads to is the same before and
// after, so nobody has to confirm anything.
func (e *Engine) park(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	q := r.request
	id := s.Session(q.Product).ID
	s, err := e.Store.Update(ctx, func(s *abt2.State) error { return s.Park(q.Product, abt2.Actor{Now: time.Now()}) })
	if err != nil {
		return abt2.Outcome{}, err
	}
	p, sess := s.Products[q.Product], s.Sessions[id]
	out := abt2.Outcome{From: p.Online, To: sess.Preview, Cookie: e.cookie(s, sess), Link: e.link(s, sess), Next: nextFor(s, q.Product, q.Operator)}
	_, err = e.publish(ctx)
	return out, err
}

// unpark opens a parked session again on what is online now, and names what has
// to be shipped again.
func (e *Engine) unpark(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	s, err := e.Store.Update(ctx, func(s *abt2.State) error { return s.Unpark(q.Product, abt2.Actor{Now: time.Now()}) })
	if err != nil {
		return abt2.Outcome{}, err
	}
	return e.previewChanged(ctx, r, s, abt2.Outcome{Warnings: unparkWarnings(s, s.Session(q.Product))})
}

// unparkWarnings tell what unpark has taken out of the preview.
func unparkWarnings(s *abt2.State, sess *abt2.Session) []string {
	var out []string
	for _, m := range sortedModules(sess.Targets) {
		if sess.Targets[m].Moved {
			out = append(out, movedText(s, sess, m)+"; ship it again")
		}
	}
	return out
}

// movedText says what users have got of a module while the session was parked.
func movedText(s *abt2.State, sess *abt2.Session, m abt2.ModuleName) string {
	now := "it was removed"
	if v, ok := s.Environments[sess.Base].Modules[m]; ok {
		now = fmt.Sprintf("users got %s", v)
	}
	return fmt.Sprintf("%s changed on both sides: %s while the session was parked", m, now)
}

// parkedStatuses are the product's parked sessions for people.
func (e *Engine) parkedStatuses(s *abt2.State, p *abt2.Product) []abt2.ParkedStatus {
	out := []abt2.ParkedStatus{}
	for _, sess := range s.Parked(p) {
		st := abt2.ParkedStatus{SessionStatus: sessionStatus(s, sess)}
		if sess.Preview != 0 {
			st.Preview = e.environment(s, sess.Preview)
		}
		out = append(out, st)
	}
	return out
}

func sessionStatus(s *abt2.State, sess *abt2.Session) abt2.SessionStatus {
	return abt2.SessionStatus{
		ID: sess.ID, State: sess.State, Operator: sess.Operator, Description: sess.Description,
		Share: sess.Share, Created: sess.Created, Changed: sess.Changed, Targets: planLines(s, sess),
	}
}

// nextParked names the commands that lead on where no session is open: with the
// operator's parked sessions, if there are any. options are those of every command.
func nextParked(parked []*abt2.Session, operator, options string) string {
	var ids []string
	for _, sess := range parked {
		if sess.Operator == operator || operator == anybody {
			ids = append(ids, sess.ID.String())
		}
	}
	create := "abt2 start create" + options + " to begin a release"
	switch {
	case len(ids) == 0:
		return create
	case len(parked) == 1:
		return fmt.Sprintf("abt2 unpark%s to go on with session %s, or %s", options, ids[0], create)
	case len(ids) == 1:
		return fmt.Sprintf("abt2 unpark --session=%s%s to go on with it, or %s", ids[0], options, create)
	}
	return fmt.Sprintf("abt2 unpark --session=ID%s to go on with one of the parked sessions %s, or %s", options, strings.Join(ids, ", "), create)
}
