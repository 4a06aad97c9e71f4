package abt2

import (
	"regexp"
	"strings"
)

// ModuleName names a deployable unit: [a-z][a-z0-9-]{0,39}, and not "all".
type ModuleName string

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// Validate reports a name that a person must change, and how.
func (n ModuleName) Validate() error { return validateName("module name", string(n)) }

// Validate reports a name that a person must change, and how.
func (n ProductName) Validate() error { return validateName("product name", string(n)) }

func validateName(field, s string) error {
	if s == "all" {
		return Errorf(CodeInvalid, "%s %q: the word is reserved, choose another name", field, s)
	}
	if !nameRule.MatchString(s) {
		return Errorf(CodeInvalid, "%s %q: must be 1 to 40 of a-z, 0-9 and -, beginning with a letter", field, s)
	}
	return nil
}

// EnvName is the module's name as part of an environment variable: upper case, - as _.
func (n ModuleName) EnvName() string {
	return strings.ReplaceAll(strings.ToUpper(string(n)), "-", "_")
}

// Kind is what a module does in the request path.
type Kind string

// The kinds of a module.
const (
	KindEdge    Kind = "edge"    // reached through the gateway under a path prefix
	KindService Kind = "service" // called by modules
	KindJob     Kind = "job"     // calls, is not called; held in a preview unless told otherwise
)

// Module is a deployable unit and what outlives its versions.
type Module struct {
	Name ModuleName `json:"name"`
	// Versions is the highest version number given so far.
	Versions uint64 `json:"versions"`
	// Scale is how many instances of each of its versions run.
	Scale int `json:"scale"`
	// Released is the version most recently committed. Zero: never released.
	Released VersionID `json:"released,omitzero"`
	// Owner is the product whose online version stands at the unversioned name,
	// set by the first release. Empty: nobody yet.
	Owner ProductName `json:"owner,omitempty"`
	// Address is the unversioned name of a service: host:port, given once.
	Address string `json:"address,omitempty"`
	// Created says that an operator named the module before its first build, which
	// is no typing error then. Its Scale is zero until it has been set.
	Created bool `json:"created,omitempty"`
	// Deleted says that the module is gone but for its history: its versions keep
	// their numbers, and a new build brings it back.
	Deleted bool `json:"deleted,omitempty"`
	// Stopped are the instances, of versions in use, that operators have ended. The
	// list is replaced, never changed.
	Stopped []StoppedInstance `json:"stopped,omitempty"`
}
