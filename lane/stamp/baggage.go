package stamp

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/baggage"
)

// baggageEnv finds the environment in the values of header baggage. It looks at
// the raw text: OpenTelemetry's parser keeps the last of two members of one
// name, where a stamp given twice must be an error.
func baggageEnv(values []string) (uint64, error) {
	var env uint64
	for _, v := range values {
		if !strings.Contains(v, BaggageMember) {
			continue
		}
		for member := range strings.SplitSeq(v, ",") {
			value, ok := ownMember(member)
			if !ok {
				continue
			}
			if env != 0 {
				return 0, fmt.Errorf("baggage member %s is given twice", BaggageMember)
			}
			var err error
			if env, err = ParseEnv(value); err != nil {
				return 0, fmt.Errorf("baggage member %s: %w", BaggageMember, err)
			}
		}
	}
	return env, nil
}

// ownMember returns the value of a list member if it is abt2's: key and value
// may be surrounded by white space, properties follow a semicolon (W3C Baggage,
// section 3.3.1).
func ownMember(member string) (value string, ok bool) {
	member, _, _ = strings.Cut(member, ";")
	key, value, _ := strings.Cut(member, "=")
	if strings.Trim(key, " \t") != BaggageMember {
		return "", false
	}
	return strings.Trim(value, " \t"), true
}

// Strip returns the values of header baggage without abt2's member: the same
// slice if it is not in them, nil if nothing else is. values are not changed.
func Strip(values []string) []string {
	if !carries(values) {
		return values
	}
	var b strings.Builder
	appendForeign(&b, values)
	if b.Len() == 0 {
		return nil
	}
	return []string{b.String()}
}

// Merge returns the one value of header baggage that carries the environment
// beside the foreign members of values. The environment comes first, where hops
// that cut a long list still find it. values are not changed.
func Merge(values []string, env uint64) string { return merge(values, Member(env)) }

// Member returns abt2's member of a baggage list.
func Member(env uint64) string { return BaggageMember + "=" + FormatEnv(env) }

func merge(values []string, own string) string {
	switch {
	case len(values) == 0:
		return own
	case len(values) == 1 && values[0] != "" && !carries(values):
		return own + "," + values[0]
	}
	var b strings.Builder
	b.WriteString(own)
	appendForeign(&b, values)
	return b.String()
}

func carries(values []string) bool {
	for _, v := range values {
		if strings.Contains(v, BaggageMember) {
			return true
		}
	}
	return false
}

// appendForeign adds the members that are not abt2's, as they are written.
func appendForeign(b *strings.Builder, values []string) {
	for _, v := range values {
		for member := range strings.SplitSeq(v, ",") {
			member = strings.Trim(member, " \t")
			if _, own := ownMember(member); own || member == "" {
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(member)
		}
	}
}

// FromContext returns the environment in the context's OpenTelemetry baggage,
// as an instrumented hop without abt2 leaves it there. Zero: none, or malformed.
func FromContext(ctx context.Context) uint64 {
	bag := baggage.FromContext(ctx)
	if bag.Len() == 0 {
		return 0
	}
	env, err := ParseEnv(bag.Member(BaggageMember).Value())
	if err != nil {
		return 0
	}
	return env
}

// ContextWithBaggage puts the environment into the context's OpenTelemetry
// baggage, so that instrumented hops carry it on. Foreign members come from the
// context, or, where nothing has extracted them yet, from received: the values
// of the request's header baggage.
func ContextWithBaggage(ctx context.Context, received []string, env uint64) context.Context {
	bag := baggage.FromContext(ctx)
	if bag.Len() == 0 && len(received) > 0 {
		bag, _ = baggage.Parse(strings.Join(received, ",")) // what cannot be read of it is left out
	}
	own := FormatEnv(env)
	if bag.Member(BaggageMember).Value() == own { // came with the request, as a rule
		return baggage.ContextWithBaggage(ctx, bag)
	}
	m, err := baggage.NewMemberRaw(BaggageMember, own)
	if err != nil {
		return ctx // a constant key and digits: cannot happen
	}
	with, err := bag.SetMember(m)
	if err != nil { // the list is full; header Abt2-Env carries the environment all the same
		return baggage.ContextWithBaggage(ctx, bag)
	}
	return baggage.ContextWithBaggage(ctx, with)
}

// OutgoingBaggage returns the value of header baggage for a call: own, which is
// the Member of its environment, and the foreign members of values, which are
// those of the call's own header baggage, or else of the context.
func OutgoingBaggage(ctx context.Context, values []string, own string) string {
	if len(values) == 0 {
		bag := baggage.FromContext(ctx)
		if n := bag.Len(); n > 1 || n == 1 && bag.Member(BaggageMember).Key() == "" {
			values = []string{bag.String()}
		}
	}
	return merge(values, own)
}
