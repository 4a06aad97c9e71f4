package abt2

import "time"

// ModuleStatus is a module as it stands, whatever environments name it.
type ModuleStatus struct {
	Name     ModuleName  `json:"module"`
	Kind     Kind        `json:"kind"` // of the last version; empty: it has no build yet
	Scale    int         `json:"scale"`
	Released VersionID   `json:"released,omitzero"`
	Owner    ProductName `json:"owner,omitempty"`
	Address  string      `json:"address,omitempty"` // the unversioned name
	// Versions are those that a live environment names or of which something runs,
	// and all of them where one module was asked for; the newest first.
	Versions []VersionStatus `json:"versions"`
}

// VersionStatus is a version as it stands.
type VersionStatus struct {
	ID       VersionID `json:"version"`
	Digest   string    `json:"digest"`
	Artifact Artifact  `json:"artifact,omitzero"`
	External External  `json:"external,omitempty"` // where it answers, if abt2 does not run it
	Created  time.Time `json:"created"`
	Tags     []Role    `json:"tags"`    // as NamedInstance.Tags
	Healthy  int       `json:"healthy"` // instances
	Want     int       `json:"want"`    // how many should be; zero: it is not to run
}

// ModulesRequest asks for modules. An empty module is all.
type ModulesRequest struct {
	Module ModuleName
}

// ModuleChange is what is to become of a module.
type ModuleChange string

// The changes of a module. Everything else about one is a session's to change.
const (
	ModuleCreate ModuleChange = "create"
	ModuleDelete ModuleChange = "delete"
)

// ChangeModuleRequest announces a module, or takes one away that nothing uses.
type ChangeModuleRequest struct {
	By
	Product ProductName // in whose history it is written
	Module  ModuleName
	Change  ModuleChange
	Scale   int // of create: how many instances of each version; zero: as the first build says
	DryRun  bool
}
