package navi

import (
	"context"
	"math/rand/v2"
	"slices"

	"abt2.dev/lane"
	"abt2.dev/lane/route"
)

// source knows where an interface is served.
type source interface {
	// begin begins a call; its round is ended by the caller.
	begin(ctx context.Context) (round, context.Context, error)
}

// round is one call's way through the instances. It is used by one goroutine.
type round interface {
	// next returns an instance that has not been tried.
	next(c *Client) (target, error)
	more() bool // there is one
	again()     // the call is sent to another instance
	// stamp returns the values of headers Abt2-Env, none without an environment, and baggage.
	stamp(ctx context.Context) (env []string, baggage string)
	end()
}

// target is where an attempt goes.
type target struct {
	address string
	to      []string // header Abt2-To; nil: nobody in particular
}

// choose picks one of n that are left. In turn, a second attempt goes to the one
// that follows the first, which stood at before; before a first it is negative.
func (c *Client) choose(n, before int) int {
	switch {
	case c.selector == Random:
		return rand.IntN(n)
	case before >= 0:
		return before % n
	}
	return int((c.turn.Add(1) - 1) % uint64(n))
}

// laneSource takes instances from the SDK's table.
type laneSource struct {
	lane   *lane.Lane
	module string
}

func (s laneSource) begin(ctx context.Context) (round, context.Context, error) {
	call, ctx, err := s.lane.Call(ctx, s.module)
	if err != nil {
		return nil, ctx, err
	}
	addresses, outside, err := s.lane.StaticAddresses(s.module)
	if err != nil {
		call.End()
		return nil, ctx, err
	}
	if outside {
		return &staticRound{call: call, list: list{left: addresses, at: -1}}, ctx, nil
	}
	return &laneRound{call: call, at: -1}, ctx, nil
}

// laneRound is a call within abt2.
type laneRound struct {
	call  lane.Call
	pick  route.Pick // zero: none
	tried []*route.Instance
	at    int // where the last of them stood among those left
}

func (r *laneRound) next(c *Client) (target, error) {
	v, err := r.call.Resolve()
	if err != nil {
		return target{}, err
	}
	// Resolved anew: the version may have moved, also to the one that stands in.
	left := v.Instances
	if len(r.tried) > 0 {
		left = slices.DeleteFunc(slices.Clone(left), func(in *route.Instance) bool { return slices.Contains(r.tried, in) })
		if len(left) == 0 {
			return target{}, &route.Error{Reason: route.NoInstance, Environment: r.call.Environment(), Module: v.Module}
		}
	}
	r.at = c.choose(len(left), r.at)
	chosen := left[r.at]
	r.done()
	r.pick, _ = v.Pick(func(in *route.Instance) bool { return in == chosen })
	r.tried = append(r.tried, chosen)
	return target{chosen.Address, chosen.To}, nil
}

func (r *laneRound) more() bool {
	v, err := r.call.Resolve()
	return err == nil && slices.ContainsFunc(v.Instances, func(in *route.Instance) bool { return !slices.Contains(r.tried, in) })
}

func (r *laneRound) again() { r.call.Again() }

func (r *laneRound) stamp(ctx context.Context) ([]string, string) { return r.call.Stamp(ctx, nil) }

func (r *laneRound) end() {
	r.done()
	r.call.End()
}

func (r *laneRound) done() {
	if r.pick.Instance != nil {
		r.pick.Done()
		r.pick = route.Pick{}
	}
}

// staticRound is a call outside abt2, or one to addresses from a Directory. The
// stamp that came with the request being served goes on; none is made.
type staticRound struct {
	list
	call lane.Call
}

func (r *staticRound) again() { r.call.Again() }

func (r *staticRound) stamp(ctx context.Context) ([]string, string) {
	if r.call.Environment() == 0 {
		return nil, ""
	}
	return r.call.Stamp(ctx, nil)
}

func (r *staticRound) end() { r.call.End() }

// list is addresses that have not been tried.
type list struct {
	left []string
	at   int // where the last one tried stood
}

func (l *list) next(c *Client) (target, error) {
	l.at = c.choose(len(l.left), l.at)
	address := l.left[l.at]
	l.left = slices.Delete(l.left, l.at, l.at+1)
	return target{address: address}, nil
}

func (l *list) more() bool { return len(l.left) > 0 }
