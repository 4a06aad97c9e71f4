package route

import (
	"math/rand/v2"
	"slices"
)

// Pick chooses the less busy of two random instances of the environment's
// version of a module, and counts the request as in flight there. It takes no
// lock and allocates nothing. The error is an Error of reason Unknown, Retired,
// NoModule or NoInstance.
func (s *Snapshot) Pick(env uint64, module string) (Pick, error) {
	v, err := s.Resolve(env, module)
	if err != nil {
		return Pick{}, err
	}
	pick, _ := v.Pick(nil) // it has an instance
	return pick, nil
}

// PickOther is Pick among the instances that have not been tried, and chooses
// the least busy of them.
func (s *Snapshot) PickOther(env uint64, module string, tried ...*Instance) (Pick, error) {
	v, err := s.Resolve(env, module)
	if err != nil {
		return Pick{}, err
	}
	best := v.leastBusy(func(in *Instance) bool { return !slices.Contains(tried, in) })
	if best == nil {
		return Pick{}, &Error{Reason: NoInstance, Environment: env, Module: module}
	}
	best.inFlight.Add(1)
	return Pick{best}, nil
}

// PickFallback chooses an instance of the online version in place of the
// environment's own, which has none. It is for requests that a token selected,
// or that came stamped from one that did; the caller counts it and shows it in
// the answer. Where the module has no `fallback: online`, or the environment
// has been online, the error is an Error of reason NoInstance.
func (s *Snapshot) PickFallback(env uint64, module string) (Pick, error) {
	v, err := s.ResolveFallback(env, module)
	if err != nil {
		return Pick{}, err
	}
	pick, _ := v.Pick(nil) // it has an instance
	return pick, nil
}

// Resolve returns the environment's version of a module, which has at least one
// instance. The error is that of Pick.
func (s *Snapshot) Resolve(env uint64, module string) (*Version, error) {
	e := s.environments.get(env)
	if e == nil {
		_, err := s.Environment(env)
		return nil, err
	}
	v := e.versions[module]
	if v == nil {
		return nil, &Error{Reason: NoModule, Environment: env, Module: module}
	}
	if len(v.Instances) == 0 {
		return nil, &Error{Reason: NoInstance, Environment: env, Module: module}
	}
	return v, nil
}

// ResolveFallback is to Resolve what PickFallback is to Pick.
func (s *Snapshot) ResolveFallback(env uint64, module string) (*Version, error) {
	e, err := s.Environment(env)
	if err != nil {
		return nil, err
	}
	online := e.Product.Online
	if !e.FallsBack(module) || online == nil {
		return nil, &Error{Reason: NoInstance, Environment: env, Module: module}
	}
	return s.Resolve(online.ID, module)
}

// Pick chooses the less busy of two random instances, or, where usable refuses
// that one, the least busy of those that it accepts; false: it accepts none. A
// nil usable accepts all. The request counts as in flight at the instance. Pick
// takes no lock and allocates nothing.
func (v *Version) Pick(usable func(*Instance) bool) (Pick, bool) {
	in := v.pick()
	if in != nil && usable != nil && !usable(in) {
		in = v.leastBusy(usable)
	}
	if in == nil {
		return Pick{}, false
	}
	in.inFlight.Add(1)
	return Pick{in}, true
}

func (v *Version) leastBusy(usable func(*Instance) bool) *Instance {
	var best *Instance
	for _, in := range v.Instances {
		if usable(in) && (best == nil || in.InFlight() < best.InFlight()) {
			best = in
		}
	}
	return best
}

// pick is the power of two choices: nearly as even as looking at all instances,
// at the price of looking at two (Mitzenmacher, 2001).
func (v *Version) pick() *Instance {
	n := uint32(len(v.Instances))
	switch n {
	case 0:
		return nil
	case 1:
		return v.Instances[0]
	}
	r := rand.Uint64()
	// Two different indices out of one random number: the high half chooses the
	// first, the low half the distance to the second.
	i := uint32(((r >> 32) * uint64(n)) >> 32)
	j := i + 1 + uint32((uint64(uint32(r))*uint64(n-1))>>32)
	if j >= n {
		j -= n
	}
	a, b := v.Instances[i], v.Instances[j]
	if b.InFlight() < a.InFlight() {
		return b
	}
	return a
}
