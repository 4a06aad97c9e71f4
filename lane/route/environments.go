package route

import "abt2.dev/lane/feedpb"

// environments finds environments by id. Ids in use lie close together, because
// old ones retire: a slice that begins at the lowest answers faster than a map,
// which serves the few that lie far off.
type environments struct {
	lowest uint64
	near   []*Environment // of id lowest+i
	far    map[uint64]*Environment
}

// newEnvironments makes room for those of a table, which is sorted by id.
func newEnvironments(list []*feedpb.Environment) environments {
	if len(list) == 0 {
		return environments{}
	}
	const slack = 1024 // pointers that may stay unused beside those in use
	lowest, highest := list[0].GetId(), list[len(list)-1].GetId()
	room := min(highest-lowest, uint64(2*len(list)+slack)) + 1
	return environments{lowest: lowest, near: make([]*Environment, room), far: map[uint64]*Environment{}}
}

// get returns nil for an environment that is absent.
func (e *environments) get(id uint64) *Environment {
	if i := id - e.lowest; i < uint64(len(e.near)) { // an id below lowest wraps around to a huge i
		return e.near[i]
	}
	return e.far[id]
}

func (e *environments) set(env *Environment) {
	if i := env.ID - e.lowest; i < uint64(len(e.near)) {
		e.near[i] = env
		return
	}
	e.far[env.ID] = env
}
