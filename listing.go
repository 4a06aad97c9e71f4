package abt2

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ServiceName is what callers outside of abt2 know a service by, in a registry
// that lists instances.
type ServiceName struct {
	Namespace string `json:"namespace,omitempty"`
	Interface string `json:"interface,omitempty"`
}

func (n ServiceName) String() string { return n.Namespace + "/" + n.Interface }

// UnmarshalYAML reads {namespace: …, interface: …}, strictly.
func (n *ServiceName) UnmarshalYAML(decode func(any) error) error {
	var fields map[string]string
	if decode(&fields) != nil {
		return Errorf(CodeInvalid, "must be like {namespace: shop, interface: OrderService}")
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		switch k {
		case "namespace":
			n.Namespace = fields[k]
		case "interface":
			n.Interface = fields[k]
		default:
			return Errorf(CodeInvalid, "field %q: is unknown; known: namespace, interface", k)
		}
	}
	return nil
}

// check tells which rule the name breaks, and by which word. Either part may be
// empty: it has a default.
func (n ServiceName) check() (word, rule string) {
	for _, w := range []string{n.Namespace, n.Interface} {
		if len(w) > 200 || strings.ContainsFunc(w, func(r rune) bool { return !strings.ContainsRune(serviceRunes, r) }) {
			return w, "may contain letters, digits and . _ $ - only, at most 200 of them"
		}
		if strings.HasPrefix(w, ".") {
			return w, "must not begin with a dot"
		}
	}
	if n.Interface != "" && strings.Trim(n.Interface, "0123456789") == "" {
		return n.Interface, "a number is where a version is listed; choose a name with a letter"
	}
	return "", ""
}

const serviceRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._$-"

// ServiceName is what the service is listed under: what its configuration says,
// else the product that owns its unversioned name, and the module's name.
func (c Config) ServiceName(owner ProductName, m ModuleName) ServiceName {
	n := c.Navi
	if n.Namespace == "" {
		n.Namespace = string(owner)
	}
	if n.Interface == "" {
		n.Interface = string(m)
	}
	return n
}

// Listing is one place of a registry, with the instances that are listed there:
// that of a version, or a service's unversioned one, at which exactly one version
// stands.
type Listing struct {
	Module      ModuleName      `json:"module"`
	Name        ServiceName     `json:"name"`
	Version     VersionID       `json:"version"` // whose instances stand there
	Unversioned bool            `json:"unversioned,omitempty"`
	External    bool            `json:"external,omitempty"` // abt2 does not start them
	Instances   []TableInstance `json:"instances,omitempty"`
	// Withdraw are addresses of the module's other external versions, at an
	// unversioned place: whoever has registered them there, the switch takes them away.
	Withdraw []string `json:"withdraw,omitempty"`
	// Others is what stands there besides, when read.
	Others []Registration `json:"others,omitempty"`
}

// Registration is one entry of a registry, as it was found.
type Registration struct {
	Address string `json:"address"`
	Host    string `json:"host,omitempty"` // what the entry says
	// Instance holds the entry, if it is one of ours.
	Instance InstanceID `json:"instance,omitempty"`
	// Junk is an entry that callers cannot call: it names no address.
	Junk bool `json:"junk,omitempty"`
	// Note says what is wrong with it, for people.
	Note string `json:"note,omitempty"`
}

func (r Registration) String() string {
	out := r.Address
	if r.Host != "" {
		out += fmt.Sprintf(" (%s)", r.Host)
	}
	if r.Note != "" {
		out += ": " + r.Note
	}
	return out
}

// Lister is the ability of a registry to list instances: of each version at a
// place of its own, and at unversioned names those of one version. Its Apply
// takes heed of Names.Listings: at an unversioned place what is to stand there
// has been seen before the rest is withdrawn, so that it is never empty; where no
// instance is healthy, what stands there stays. Its Read returns the listings
// with what really stands.
type Lister interface {
	Registry
	// Follow makes n what is to be listed and returns at once; the registry goes
	// on until that is so. Older names than those it has are ignored.
	Follow(n Names)
	// Listed returns what stands at a service's unversioned place, sorted by
	// address. It fails with CodeRefused where entries there could not be withdrawn.
	Listed(ctx context.Context, n ServiceName) ([]Registration, error)
}
