package abt2

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
)

// Share is a part of all visitors, in hundredths of a percent. Zero: none.
type Share int

// AllVisitors is one more than the largest Share that leaves anybody out.
const AllVisitors Share = 100_00

// ParseShare reads a share as it is written: 5%, 0.5%, 12.25%.
func ParseShare(s string) (Share, error) {
	whole, fraction, dotted := strings.Cut(strings.TrimSuffix(s, "%"), ".")
	n, err := strconv.ParseUint(whole+(fraction + "00")[:2], 10, 16)
	if err != nil || !strings.HasSuffix(s, "%") || whole == "" || len(fraction) > 2 || dotted && fraction == "" || n == 0 || Share(n) >= AllVisitors {
		return 0, Errorf(CodeInvalid, "share %q: must be more than 0%% and less than 100%%, with at most two decimals, like 5%% or 0.5%%", s)
	}
	return Share(n), nil
}

// String writes the share as ParseShare reads it; zero is empty.
func (s Share) String() string {
	if s == 0 {
		return ""
	}
	text := strconv.Itoa(int(s / 100))
	if rest := int(s % 100); rest != 0 {
		text += "." + strings.TrimSuffix(strconv.Itoa(100 + rest)[1:], "0")
	}
	return text + "%"
}

// MarshalText implements encoding.TextMarshaler.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Share) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*s = 0
		return nil
	}
	*s, err = ParseShare(string(b))
	return err
}

// VisitorCookie is the cookie by which an edge knows a visitor again while a
// share of a product's visitors goes to another environment than online.
const VisitorCookie = "abt2-visitor"

// VisitorShare sends a share of a product's visitors to another environment
// than online.
type VisitorShare struct {
	Environment EnvironmentID `json:"environment"`
	Share       Share         `json:"share"`
	// Salt makes every session's share another choice of visitors.
	Salt string `json:"salt"`
}

// Takes reports whether the visitor with this cookie is in the share. It is so
// in every greater share of the same salt: the first four bytes of the sha256 of
// salt, a slash and the cookie's value, modulo 10,000, are less than the share.
func (v VisitorShare) Takes(visitor string) bool {
	var buf [128]byte
	sum := sha256.Sum256(append(append(append(buf[:0], v.Salt...), '/'), visitor...))
	return binary.BigEndian.Uint32(sum[:])%uint32(AllVisitors) < uint32(v.Share)
}
