package abt2

import (
	"maps"
	"slices"
	"strconv"
)

// EnvironmentID identifies an environment. Ids grow and are never used again; zero is none.
type EnvironmentID uint64

func (id EnvironmentID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Environment is an immutable map from module to version, like a commit of the
// fleet. Nobody changes the maps of an Environment once it has been created.
type Environment struct {
	ID      EnvironmentID            `json:"id"`
	Product ProductName              `json:"product"`
	Modules map[ModuleName]VersionID `json:"modules"`
}

// Names reports whether the environment names exactly this version.
func (e *Environment) Names(v VersionID) bool {
	return e != nil && e.Modules[v.Module] == v
}

// ModuleNames returns the environment's modules in alphabetical order.
func (e *Environment) ModuleNames() []ModuleName {
	return slices.Sorted(maps.Keys(e.Modules))
}

// Change is one module's difference between two environments. A zero From means
// that the module is new, a zero To that it is gone.
type Change struct {
	Module ModuleName `json:"module"`
	From   VersionID  `json:"from,omitzero"`
	To     VersionID  `json:"to,omitzero"`
}

// Diff lists what changes from one environment to another, by module name.
func Diff(from, to *Environment) []Change {
	names := map[ModuleName]bool{}
	for m := range from.Modules {
		names[m] = true
	}
	for m := range to.Modules {
		names[m] = true
	}
	var out []Change
	for _, m := range slices.Sorted(maps.Keys(names)) {
		if a, b := from.Modules[m], to.Modules[m]; a != b {
			out = append(out, Change{Module: m, From: a, To: b})
		}
	}
	return out
}
