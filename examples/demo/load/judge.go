package load

import (
	"encoding/json"
	"fmt"

	"abt2.dev"
	"abt2.dev/examples/shop/hop"
)

// Judge returns a judge of the shop's answers: every hop must carry the same
// environment, and be the version that this environment names.
func Judge(environments ...*abt2.EnvironmentStatus) func(body []byte) error {
	known := map[uint64]*abt2.EnvironmentStatus{}
	for _, e := range environments {
		known[uint64(e.ID)] = e
	}
	return func(body []byte) error {
		var answer struct {
			Hops []hop.Hop `json:"hops"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("not the shop's answer: %w", err)
		}
		if len(answer.Hops) == 0 {
			return fmt.Errorf("an answer without hops: %.200s", body)
		}
		id := answer.Hops[0].Environment
		env := known[id]
		if env == nil {
			return fmt.Errorf("stamped with environment %d, which is neither of the two", id)
		}
		for _, h := range answer.Hops {
			if h.Environment != id {
				return fmt.Errorf("%w: environments %d and %d: %+v", ErrMixed, id, h.Environment, answer.Hops)
			}
			if want := env.Modules[abt2.ModuleName(h.Module)].String(); h.Version != want {
				return fmt.Errorf("%w: %s answered in environment %d, which names %s: %+v", ErrMixed, h.Version, id, want, answer.Hops)
			}
		}
		return nil
	}
}
