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
	v, err := s.resolve(env, module)
	if err != nil {
		return Pick{}, err
	}
	in := v.pick()
	if in == nil {
		return Pick{}, &Error{Reason: NoInstance, Environment: env, Module: module}
	}
	in.inFlight.Add(1)
	return Pick{in}, nil
}

// PickOther is Pick among the instances that have not been tried, and chooses
// the least busy of them.
func (s *Snapshot) PickOther(env uint64, module string, tried ...*Instance) (Pick, error) {
	v, err := s.resolve(env, module)
	if err != nil {
		return Pick{}, err
	}
	var best *Instance
	for _, in := range v.Instances {
		if !slices.Contains(tried, in) && (best == nil || in.InFlight() < best.InFlight()) {
			best = in
		}
	}
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
	e, err := s.Environment(env)
	if err != nil {
		return Pick{}, err
	}
	online := e.Product.Online
	if !e.FallsBack(module) || online == nil {
		return Pick{}, &Error{Reason: NoInstance, Environment: env, Module: module}
	}
	return s.Pick(online.ID, module)
}

func (s *Snapshot) resolve(env uint64, module string) (*Version, error) {
	e := s.environments.get(env)
	if e == nil {
		_, err := s.Environment(env)
		return nil, err
	}
	v := e.versions[module]
	if v == nil {
		return nil, &Error{Reason: NoModule, Environment: env, Module: module}
	}
	return v, nil
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
