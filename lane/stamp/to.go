package stamp

import (
	"fmt"
	"strings"
)

// To is whom a request is addressed to. The zero To: nobody in particular.
type To struct {
	Version  string // order@3
	Instance string // empty: any instance of the version
}

func (t To) String() string {
	if t.Instance == "" {
		return t.Version
	}
	return t.Version + "/" + t.Instance
}

// Names reports whether a request so addressed is for this receiver.
func (t To) Names(version, instance string) bool {
	return t == To{} || t.Version == version && (t.Instance == "" || t.Instance == instance)
}

// Address returns whom a request is addressed to. A header that is malformed or
// given twice is an error, which means 400 or INVALID_ARGUMENT.
func (v Values) Address() (To, error) {
	switch len(v.To) {
	case 0:
		return To{}, nil
	case 1:
		to, err := ParseTo(v.To[0])
		if err != nil {
			return To{}, fmt.Errorf("header %s: %w", ToHeader, err)
		}
		return to, nil
	default:
		return To{}, fmt.Errorf("header %s is given %d times", ToHeader, len(v.To))
	}
}

// ParseTo reads module@version or module@version/instance.
func ParseTo(s string) (To, error) {
	version, instance, slash := strings.Cut(s, "/")
	module, number, at := strings.Cut(version, "@")
	if !at || !isName(module) || !isNumber(number) || slash && !isInstance(instance) {
		return To{}, fmt.Errorf("receiver %q: must be MODULE@NUMBER or MODULE@NUMBER/INSTANCE, like order@3", shorten(s))
	}
	return To{Version: version, Instance: instance}, nil
}

// isName reports what abt2 lets a module be called: [a-z][a-z0-9-]{0,39}.
func isName(s string) bool {
	if s == "" || len(s) > 40 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return consistsOf(s, "-")
}

func isNumber(s string) bool {
	if s == "" || len(s) > 20 || s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isInstance(s string) bool {
	return s != "" && len(s) <= 128 && consistsOf(strings.ToLower(s), "-._@")
}

func consistsOf(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// Module returns the module a URL's host names, empty if it names something
// else: a bare name without dot or port, and not localhost.
func Module(host string) string {
	if !isName(host) || host == "localhost" {
		return ""
	}
	return host
}
