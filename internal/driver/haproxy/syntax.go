package haproxy

import (
	"fmt"
	"strconv"
	"strings"

	"abt2.dev"
)

// HAProxy's names consist of letters, digits and - _ . : only
// (configuration manual, section 2.1), so that a version, order@3, must be
// written otherwise, and what an operator named must not become syntax.

// escape writes any text as a name. The colon, followed by two hexadecimal
// digits, stands for what a name may not hold, and for itself.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlphanumeric(c) || c == '-' || c == '.' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, ":%02X", c)
		}
	}
	return b.String()
}

// unescape returns the text that escape made a name of; ok is false for other names.
func unescape(name string) (s string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != ':' {
			b.WriteByte(name[i])
			continue
		}
		if i+3 > len(name) {
			return "", false
		}
		c, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// checkWord refuses what would end a word or a line of a map or configuration.
// more holds further bytes that must not occur.
func checkWord(field, s, more string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(more, r) }) {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be printable ASCII without spaces%s, so that HAProxy reads it as one word", field, s, without(more))
	}
	return nil
}

func without(more string) string {
	if more == "" {
		return ""
	}
	return " and " + more
}
