package drill

import (
	"encoding/json"
	"fmt"

	"abt2.dev"
)

// verdict is what an answer's hop list shows.
type verdict struct {
	judged      bool               // there was a hop list that names an environment
	environment abt2.EnvironmentID // that the answer is of; zero: not told
	mixed       string             // why it is of more than one release
	wrong       string             // why it is of no release of the drill
}

// hops is what a module may tell in a JSON answer: who took part in it. Fields
// that are absent are not judged, nor are those that are not here.
type hops struct {
	Hops []struct {
		Module      abt2.ModuleName    `json:"module"`
		Version     string             `json:"version"` // order@3
		Environment abt2.EnvironmentID `json:"environment"`
	} `json:"hops"`
}

// judge checks answers against what the drill's environments name.
type judge map[abt2.EnvironmentID]map[abt2.ModuleName]abt2.VersionID

// look judges one answer: all hops must be in one environment, which is one of
// the drill's, and each must be the version that this environment names.
func (j judge) look(body []byte) verdict {
	var answer hops
	if json.Unmarshal(body, &answer) != nil {
		return verdict{} // not ours to judge
	}
	var v verdict
	for _, h := range answer.Hops {
		if h.Environment == 0 {
			continue
		}
		v.judged = true
		switch {
		case v.environment == 0:
			v.environment = h.Environment
		case v.environment != h.Environment:
			v.mixed = fmt.Sprintf("hops of environments %s and %s", v.environment, h.Environment)
			return v
		}
	}
	if !v.judged {
		return verdict{}
	}
	modules, known := j[v.environment]
	if !known {
		v.wrong = fmt.Sprintf("answered in environment %s, which is neither of the drill's", v.environment)
		return v
	}
	for _, h := range answer.Hops {
		want, named := modules[h.Module]
		switch {
		case h.Module == "" || h.Version == "":
		case !named:
			v.mixed = fmt.Sprintf("%s took part, but environment %s has no %s", h.Version, v.environment, h.Module)
		case h.Version != want.String():
			v.mixed = fmt.Sprintf("%s took part, but environment %s names %s", h.Version, v.environment, want)
		}
	}
	return v
}
