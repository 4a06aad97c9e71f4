package abt2

import (
	"fmt"
	"time"
)

// BeginShare is Begin of a commit for a share of the visitors. A share only
// grows: who has seen the preview is not sent back but by rollback.
func (s *State) BeginShare(name ProductName, a Actor, share Share) error {
	p, err := s.Product(name)
	if err != nil {
		return err
	}
	if share <= 0 || share >= AllVisitors {
		return Errorf(CodeInvalid, "--share %q: must be more than 0%% and less than 100%%; to move everybody: abt2 commit --op=%s", share, a.Operator)
	}
	if in := p.Intent; in != nil && in.Verb == VerbCommit && in.Share == share {
		return nil
	}
	next := s.Clone()
	if err := next.Begin(name, a, VerbCommit, nil); err != nil {
		return err
	}
	p = next.Products[name]
	switch sess := next.Session(name); {
	case p.Intent.Share != 0 || s.Products[name].Intent != nil:
		return Errorf(CodeRefused, "commit by %s is at work on %s; wait for it: abt2 status", p.Intent.Operator, name)
	case sess.Share > share:
		return Errorf(CodeRefused, "--share=%s: %s of the visitors are served from environment %d already, and a share only grows; to end it: abt2 rollback --op=%s", share, sess.Share, sess.Preview, a.Operator)
	case len(next.Online(p).Modules) == 0:
		return Errorf(CodeRefused, "--share=%s: nothing is online yet, so the other visitors would be answered 503; to move everybody: abt2 commit --op=%s", share, a.Operator)
	}
	p.Intent.Share = share
	*s = *next
	return nil
}

// ShareOut makes the share of the visitors that the commit at work is for be
// served from the preview: the point of no return of the verb.
func (s *State) ShareOut(name ProductName, a Actor) error {
	p, sess, by, err := s.intent(name, VerbCommit)
	if err != nil {
		return err
	}
	if err := s.ready(p, sess, by); err != nil {
		return err
	}
	if p.Intent.Share == 0 {
		return Errorf(CodeRefused, "commit is at work for all visitors, not for a share; look: abt2 status")
	}
	by.Now = a.Now
	p.Intent.Decided = true
	sess.Share, sess.WasOnline = p.Intent.Share, sess.Preview
	s.record(by, p, "commit", p.Online, sess.Preview, sess.Share.String()+" of the visitors")
	return nil
}

// SetSkew sets for how long after a page's load what it asks for goes to the
// environment that it came from; zero ends that. key is taken where skew
// protection begins.
func (s *State) SetSkew(name ProductName, a Actor, keep Duration, key SkewKey) error {
	p, err := s.Product(name)
	if err != nil {
		return err
	}
	if a.Operator == "" {
		return Errorf(CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", "")
	}
	if keep != 0 && (keep < ShortestSkew || keep > LongestSkew || keep%Duration(time.Second) != 0) {
		return Errorf(CodeInvalid, "--skew %s: must be whole seconds, %s to %s, like 10m, or 0 for none", keep, ShortestSkew, LongestSkew)
	}
	was, next := Duration(0), (*Skew)(nil)
	if p.Skew != nil {
		was, key = p.Skew.Keep, p.Skew.Key
	}
	if keep == was {
		return nil
	}
	if keep != 0 {
		next = &Skew{Keep: keep, Key: key}
	}
	p.Skew = next
	s.record(a, p, "product set", p.Online, p.Online, fmt.Sprintf("skew %s → %s", was, keep))
	return nil
}
