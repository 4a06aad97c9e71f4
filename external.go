package abt2

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// External lists where a version answers that abt2 routes to and checks, but
// neither starts nor stops: either host:port addresses, sorted, each once, or
// one word dns:NAME or dns:NAME:PORT. Without a port NAME is asked for SRV
// records (RFC 2782), with one for A and AAAA records.
type External []string

// ExternalRegistry stands for the addresses at which others are registered under
// the service's unversioned name. A put replaces it by what stands there then.
const ExternalRegistry = "registry"

// FromRegistry reports whether the addresses are to be taken from the registry.
func (x External) FromRegistry() bool { return len(x) == 1 && x[0] == ExternalRegistry }

// externalDNS begins the word that names a DNS name in place of addresses.
const externalDNS = "dns:"

// DNS returns the name that is to be resolved, again and again, and the port to
// use, 0 if SRV records tell it. ok is false for a list of addresses.
func (x External) DNS() (name string, port int, ok bool) {
	if len(x) != 1 {
		return "", 0, false
	}
	name, ok = strings.CutPrefix(x[0], externalDNS)
	if host, p, found := strings.Cut(name, ":"); found {
		name, port = host, portOf(p)
	}
	return name, port, ok
}

// Count is how many instances there are to be: one for each address, and at
// least one behind a DNS name.
func (x External) Count() int { return len(x) }

// UnmarshalYAML reads a list, or one word in its place.
func (x *External) UnmarshalYAML(decode func(any) error) error {
	var one string
	var list []string
	if decode(&one) == nil {
		list = []string{one}
	} else if decode(&list) != nil {
		return Errorf(CodeInvalid, "must be a list of addresses, like [10.0.0.5:8080], or dns:NAME")
	}
	*x = append(External{}, list...)
	return nil
}

// canonical writes each address in one way, so that the same addresses are the
// same version in whatever order they were given. What is malformed stays.
func (x External) canonical() External {
	out := make(External, 0, len(x))
	for _, a := range x {
		out = append(out, canonicalAddress(a))
	}
	slices.Sort(out)
	return out
}

func canonicalAddress(a string) string {
	a = strings.ToLower(a)
	host, port, err := net.SplitHostPort(a)
	if err != nil || strings.HasPrefix(a, externalDNS) || portOf(port) == 0 {
		return a
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(host, port)
}

// check tells which rule the list breaks, and by which word.
func (x External) check() (word, rule string) {
	if len(x) > MaxScale {
		return strconv.Itoa(len(x)) + " addresses", "at most " + strconv.Itoa(MaxScale) + " are routed to; put a name server between: dns:NAME"
	}
	for i, a := range x {
		if rule := checkExternal(a, len(x)); rule != "" {
			return a, rule
		}
		if i > 0 && x[i-1] == a {
			return a, "stands twice; remove one"
		}
	}
	return "", ""
}

func checkExternal(a string, of int) string {
	if name, dns := strings.CutPrefix(a, externalDNS); dns {
		host, port, hasPort := strings.Cut(name, ":")
		switch {
		case of > 1:
			return "a DNS name stands alone; remove the other addresses, or this one"
		case !isHostName(host):
			return "must be dns:NAME or dns:NAME:PORT, NAME being a host name like order.internal"
		case hasPort && portOf(port) == 0:
			return "the port must be a number from 1 to 65535; without one, SRV records tell it"
		}
		return ""
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil || portOf(port) == 0 {
		return "must be HOST:PORT, like 10.0.0.5:8080, or dns:NAME"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() {
			return "is no address that one instance answers at; name the instance's own"
		}
		return ""
	}
	if !isHostName(host) {
		return "must be HOST:PORT, HOST being an IP address or a host name"
	}
	return ""
}

// portOf reads a port; 0: it is none.
func portOf(s string) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || s[0] == '0' || s[0] == '+' {
		return 0
	}
	return int(n)
}

// isHostName reports whether s is labels of letters, digits, - and _, at most
// 253 bytes (RFC 1123; SRV owners have underscores), and not an IP address.
func isHostName(s string) bool {
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(s) > 253 || portOf(labels[len(labels)-1]) != 0 {
		return false
	}
	return !slices.ContainsFunc(labels, func(l string) bool {
		return l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.ContainsFunc(l, func(r rune) bool {
				return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
			})
	})
}

// External reports whether abt2 routes to the version without running it. Of a
// version that does not exist it is false.
func (v *Version) External() bool { return v != nil && len(v.Config.External) > 0 }

// InheritedPatch is what a put takes over from the last release: all of its
// configuration but what belongs to the other way of being there. external is
// what the put says, or keeps, about addresses; none: abt2 starts the version.
func InheritedPatch(last Config, external External) ConfigPatch {
	last.External = external
	if len(external) > 0 {
		last.Command, last.Args, last.Env, last.EnvFile = nil, nil, nil, ""
	}
	return PatchOf(last)
}
