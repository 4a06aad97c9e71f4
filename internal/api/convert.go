package api

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

// The conversions come in pairs, fooToWire and its reverse. What needs parsing,
// such as order@3, is read by a reader's method; what cannot be wrong, by a
// plain fooFromWire. An absent message and a zero value are the same.

// each converts a list; an empty one is nil.
func each[A, B any](list []A, f func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// word and as carry our named strings over.
func word[S ~string](s S) string { return string(s) }

func as[S ~string](s string) S { return S(s) }

// text makes what people or programs have written fit for the wire, which takes
// UTF-8 only: an instance may print anything.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// pointed carries an optional value over, keeping absent apart from zero.
func pointed[A, B any](p *A, f func(A) B) *B {
	if p == nil {
		return nil
	}
	v := f(*p)
	return &v
}

// narrow fits a count into the wire's int32; counts beyond it mean "all" or are refused anyway.
func narrow(n int) int32 { return int32(max(math.MinInt32, min(math.MaxInt32, n))) }

func wide(n int32) int { return int(n) }

func timeToWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeFromWire(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func durationToWire(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func durationFromWire(d *durationpb.Duration) time.Duration {
	return d.AsDuration() // nil is zero
}

func artifactToWire(a abt2.Artifact) *abt2v1.Artifact {
	if a == (abt2.Artifact{}) {
		return nil
	}
	return &abt2v1.Artifact{Digest: a.Digest, Size: a.Size, Name: a.Name, Format: string(a.Format)}
}

func artifactFromWire(a *abt2v1.Artifact) abt2.Artifact {
	return abt2.Artifact{Digest: a.GetDigest(), Size: a.GetSize(), Name: a.GetName(), Format: abt2.ArtifactFormat(a.GetFormat())}
}

func byToWire(b abt2.By) *abt2v1.By {
	return &abt2v1.By{Operator: b.Operator, Takeover: b.Takeover}
}

func byFromWire(b *abt2v1.By) abt2.By {
	return abt2.By{Operator: b.GetOperator(), Takeover: b.GetTakeover()}
}

// reader reads what a server answered. It remembers the first thing it could
// not read, so that conversions stay expressions.
type reader struct{ err error }

func read[A, B any](a A, f func(*reader, A) B) (B, error) {
	var r reader
	b := f(&r, a)
	if r.err != nil {
		var zero B
		return zero, r.err
	}
	return b, nil
}

func readEach[A, B any](list []A, f func(*reader, A) B) ([]B, error) {
	return read(list, func(r *reader, list []A) []B {
		return each(list, func(a A) B { return f(r, a) })
	})
}

func (r *reader) version(s string) abt2.VersionID {
	var v abt2.VersionID
	if err := v.UnmarshalText([]byte(s)); err != nil && r.err == nil {
		r.err = abt2.Wrap(abt2.CodeInternal, err, "the server's answer cannot be read; are abt2 and the server of one release?")
	}
	return v
}

func versionToWire(v abt2.VersionID) string { return v.String() }
