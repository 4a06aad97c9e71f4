package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// shareOut sends a share of the visitors to the preview. Unversioned names and
// jobs stay with what is online.
func (e *Engine) shareOut(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	q := r.request
	out := abt2.Outcome{From: s.Products[q.Product].Online, To: s.Session(q.Product).Preview, Share: q.Share}
	if missing, err := e.prepare(ctx, r); err != nil {
		return abt2.Outcome{Unconfirmed: missing}, err
	}
	out, mark, err := e.turn(ctx, r, out, (*abt2.State).ShareOut)
	if err != nil {
		return out, err
	}
	return e.turned(ctx, r, out, mark)
}

// takeShareBack sends the share of the visitors back to what is online.
func (e *Engine) takeShareBack(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	q := r.request
	out := abt2.Outcome{From: s.Session(q.Product).Preview, To: s.Products[q.Product].Online}
	out, mark, err := e.turn(ctx, r, out, (*abt2.State).Rollback)
	if err != nil {
		return out, err
	}
	return e.turned(ctx, r, out, mark)
}

// shareStep tells what becomes of a share of the visitors; empty: it stays.
func shareStep(before, after *abt2.State, product abt2.ProductName) string {
	was, is, online := before.Session(product), after.Session(product), before.Products[product].Online
	switch {
	case is != nil && is.Share != 0 && (was.Share != is.Share || was.Preview != is.Preview):
		return fmt.Sprintf("send %s of the visitors from environment %d to %d", is.Share, online, is.Preview)
	case was != nil && was.Share != 0 && (is == nil || is.Share == 0) && after.Products[product].Online == online:
		return fmt.Sprintf("send %s of the visitors back from environment %d to %d", was.Share, was.Preview, online)
	}
	return ""
}

// able refuses what an edge that users come to lacks.
func (e *Engine) able(a abt2.Ability) error {
	var lacking []string
	for _, t := range e.Edges {
		if t.Address != "" && !has(t.Edge, a) {
			lacking = append(lacking, t.ID)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return abt2.Errorf(abt2.CodeRefused, "edge %s: %s; what edges can do is in docs/edges.md", strings.Join(lacking, ", "), a.Lack())
}

func has(edge abt2.Edge, a abt2.Ability) bool {
	able, ok := edge.(abt2.Abler)
	return ok && slices.Contains(able.Abilities(), a)
}

// limits says what an edge lacks, a sentence each.
func limits(t EdgeTarget) []string {
	var out []string
	if l, ok := t.Edge.(abt2.Limiter); ok {
		out = append(out, l.Limits()...)
	}
	for _, a := range abt2.Abilities {
		if t.Address != "" && !has(t.Edge, a) {
			out = append(out, a.Lack())
		}
	}
	return out
}

// SetProduct implements abt2.Service.
func (e *Engine) SetProduct(ctx context.Context, q abt2.ProductRequest) error {
	if err := e.checkReady(); err != nil {
		return err
	}
	if q.Skew == nil {
		return abt2.Errorf(abt2.CodeInvalid, "nothing to set: give --skew=DURATION, or --skew=0")
	}
	key := make(abt2.SkewKey, abt2.SkewKeySize)
	if _, err := rand.Read(key); err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "no random bits for a key")
	}
	err := e.change(ctx, q.DryRun, func(s *abt2.State) error {
		if err := e.mayChange(s, q.Product); err != nil {
			return err
		}
		if err := s.SetSkew(q.Product, actor(ctx, q.By), *q.Skew, key); err != nil || *q.Skew == 0 {
			return err
		}
		return e.able(abt2.AbilitySkew)
	})
	if err != nil || q.DryRun {
		return err
	}
	mark, err := e.publish(ctx)
	if err != nil {
		return err
	}
	ack, cancel := context.WithTimeout(ctx, setLimit)
	defer cancel()
	nobody := func(abt2.RouterStatus) bool { return false }
	if missing := e.confirm(ack, mark, nobody, nil).missing(); len(missing) > 0 {
		return abt2.Errorf(abt2.CodeCommitted, "it is set, and follows where it is not yet confirmed: %s; look: abt2 validate --edge", few(missing))
	}
	return nil
}

// setLimit bounds how long a setting waits for edges to confirm it.
const setLimit = 10 * time.Second
