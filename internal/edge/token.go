package edge

import (
	"net/http"
	"strings"

	"abt2.dev/lane/stamp"
)

// maxToken bounds what is taken for a token; 128 random bits in base64url have
// 22 characters.
const maxToken = 64

// requestToken returns the token that a request brings, "" for none. The header
// is explicit and goes before the cookie. A request is bad where it does not
// say clearly what it wants: several header values, cookies that differ, or
// what cannot be a token at all.
func requestToken(h http.Header) (token string, bad string) {
	if values := h[stamp.TokenHeader]; len(values) > 0 {
		switch {
		case len(values) > 1:
			return "", "the header " + stamp.TokenHeader + " must be given once"
		case !isToken(values[0]):
			return "", "the header " + stamp.TokenHeader + " does not hold a token"
		}
		return values[0], ""
	}
	for _, v := range h["Cookie"] {
		if !mayNameCookie(v) {
			continue
		}
		for pair := range strings.SplitSeq(v, ";") {
			name, value := cutPair(pair)
			if name != tokenCookie || value == "" {
				continue
			}
			switch {
			case !isToken(value):
				return "", "the cookie " + tokenCookie + " does not hold a token"
			case token != "" && token != value:
				return "", "two cookies " + tokenCookie + " contradict one another"
			}
			token = value
		}
	}
	return token, ""
}

// isToken reports whether s is base64url of a sensible length.
func isToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
