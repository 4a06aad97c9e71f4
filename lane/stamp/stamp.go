// Package stamp reads and writes what a request carries from hop to hop: its
// environment, and whom it is addressed to.
package stamp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The headers of abt2, in the form a http.Header holds them.
const (
	EnvHeader     = "Abt2-Env"     // the environment: 42, or 42.label
	TokenHeader   = "Abt2-Token"   // selects an environment at the edge, in place of the cookie
	ToHeader      = "Abt2-To"      // whom a request is for: order@3/instance
	ServedHeader  = "Abt2-Served"  // in answers to requests with a token: 43 preview
	RefusedHeader = "Abt2-Refused" // in answers of status 421: why; "to": addressed to someone else
	ProbeHeader   = "Abt2-Probe"   // a platform's health check, which belongs to no environment
	EdgeHeader    = "Abt2-Edge"    // in what an edge answers itself under /.abt2: its id
)

// BaggageHeader and BaggageMember carry the environment through hops that know
// OpenTelemetry and not abt2 (W3C Baggage).
const (
	BaggageHeader = "Baggage"
	BaggageMember = "abt2.env"
)

// RefusedTo is the value of Abt2-Refused when a request was for someone else.
// It was refused before the handler ran: it may be sent to another instance.
const RefusedTo = "to"

// Values are what a request carries of abt2's headers, whatever its protocol
// holds them in: all values that each header has been given.
type Values struct {
	Env     []string
	To      []string
	Baggage []string
	Probe   bool // a platform's health check
}

// ValuesOf takes the values out of the headers of an HTTP request.
func ValuesOf(h http.Header) Values {
	return Values{Env: h[EnvHeader], To: h[ToHeader], Baggage: h[BaggageHeader], Probe: h.Get(ProbeHeader) != ""}
}

// Env is Values.Environment of an HTTP request.
func Env(h http.Header) (uint64, error) { return ValuesOf(h).Environment() }

// Environment returns the environment a request is stamped with: of its own
// header, else of its baggage. Zero: it has no stamp. A stamp that is malformed
// or given twice is an error, which means 400 or INVALID_ARGUMENT.
func (v Values) Environment() (uint64, error) {
	switch len(v.Env) {
	case 0:
		return baggageEnv(v.Baggage)
	case 1:
		env, err := ParseEnv(v.Env[0])
		if err != nil {
			return 0, fmt.Errorf("header %s: %w", EnvHeader, err)
		}
		return env, nil
	default:
		return 0, fmt.Errorf("header %s is given %d times", EnvHeader, len(v.Env))
	}
}

// ParseEnv reads a stamp: an environment id in decimal, from 1, without sign or
// leading zeros; a dot and whatever follows it are ignored.
func ParseEnv(s string) (uint64, error) {
	id, _, _ := strings.Cut(s, ".")
	env, err := strconv.ParseUint(id, 10, 64)
	if err != nil || id[0] == '0' || id[0] == '+' {
		return 0, fmt.Errorf("environment %q: must be a decimal number from 1 to 18446744073709551615, without sign or leading zeros", shorten(s))
	}
	return env, nil
}

// FormatEnv writes a stamp.
func FormatEnv(env uint64) string { return strconv.FormatUint(env, 10) }

// shorten keeps what a caller sent presentable in a message.
func shorten(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
