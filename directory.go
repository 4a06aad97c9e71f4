package abt2

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Directory is what stands under every name at one moment. Nobody changes a
// Directory once it has been handed out.
type Directory struct {
	Products map[ProductName]DirectoryProduct
	// Versions is the highest version number of every module.
	Versions map[ModuleName]uint64
	// Instances is all that runs of every version, sorted by id, without Load.
	Instances map[VersionID][]NamedInstance
}

// DirectoryProduct is what names mean in one product.
type DirectoryProduct struct {
	Online map[ModuleName]VersionID
	Groups map[GroupName][]ModuleName // sorted
}

// NamedInstance is an instance as it is found by a name.
type NamedInstance struct {
	InstanceStatus
	// Callable says that routers send requests to it: it is healthy, or was when
	// it was last heard of, has an address, and is not about to end.
	Callable bool `json:"callable"`
	// Tags are the roles of the environments that name its version, whatever
	// their product. None: it is being taken down.
	Tags []Role `json:"tags"`
	// Load is how many requests and calls it is at work on, by its own last
	// report, which is at most some seconds old. Nil: it does not report.
	Load *int `json:"load"`
}

// LookupRequest asks which instances stand under a name.
type LookupRequest struct {
	Product ProductName
	Name    string // of a module or a group
	Number  uint64 // of a module's version; zero: the one online in the product
	// With Seen, the digest of an earlier answer, the answer is given when it
	// differs from that one, or after Wait: then it may be the same again.
	Seen string
	Wait time.Duration // at most MaxLookupWait
}

// MaxLookupWait bounds how long a lookup may wait for a change.
const MaxLookupWait = 10 * time.Minute

// Lookup is what stands under a name.
type Lookup struct {
	Product   ProductName     `json:"product"`
	Name      string          `json:"name"`
	Versions  []VersionID     `json:"versions"` // that the name leads to, sorted; none: nothing is online there
	Instances []NamedInstance `json:"instances"`
	Digest    string          `json:"digest"` // of all that but load and, of instances, what is for people
}

// ParseLookup reads NAME or MODULE@NUMBER.
func ParseLookup(s string) (name string, number uint64, err error) {
	if strings.Contains(s, "@") {
		v, err := ParseVersionID(s)
		return string(v.Module), v.Number, err
	}
	return s, 0, validateName("name", s)
}

// Lookup tells what stands under the name. The error is CodeNotFound where
// there is no such product, module, version or group.
func (d *Directory) Lookup(product ProductName, name string, number uint64) (Lookup, error) {
	p, ok := d.Products[product]
	if !ok {
		return Lookup{}, Errorf(CodeNotFound, "product %q: does not exist; known: %v", product, slices.Sorted(maps.Keys(d.Products)))
	}
	out := Lookup{Product: product, Name: name, Versions: []VersionID{}, Instances: []NamedInstance{}}
	module := ModuleName(name)
	highest, isModule := d.Versions[module]
	group, isGroup := p.Groups[GroupName(name)]
	switch {
	case isGroup && number != 0:
		return Lookup{}, Errorf(CodeNotFound, "%s@%d: %s is a group, and only modules have versions; ask for %s", name, number, name, name)
	case isGroup:
		for _, m := range group {
			if v, online := p.Online[m]; online {
				out.Versions = append(out.Versions, v)
			}
		}
	case !isModule:
		return Lookup{}, Errorf(CodeNotFound, "name %q: is neither a module nor a group of %s; known modules: %v; groups: abt2 name group list", name, product, slices.Sorted(maps.Keys(d.Versions)))
	case number > highest:
		return Lookup{}, Errorf(CodeNotFound, "version %s@%d: does not exist; the last is %s@%d", name, number, name, highest)
	case number != 0:
		out.Versions = append(out.Versions, VersionID{Module: module, Number: number})
	default:
		if v, online := p.Online[module]; online {
			out.Versions = append(out.Versions, v)
		}
	}
	for _, v := range out.Versions {
		out.Instances = append(out.Instances, d.Instances[v]...)
	}
	out.Digest = out.digest()
	return out, nil
}

// digest identifies what a watcher wants to hear of.
func (l Lookup) digest() string {
	h := sha256.New()
	fmt.Fprintln(h, l.Product, l.Name, l.Versions)
	for _, i := range l.Instances {
		fmt.Fprintln(h, i.ID, i.Version, i.Address, i.State, i.External, i.Callable, i.Tags)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
