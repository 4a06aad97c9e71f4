package bfe

import (
	"strings"

	"abt2.dev"
)

// BFE's conditions are a language: primitives with arguments in quotation
// marks, in which a bar separates alternatives, joined by && and preceded by !.
// What goes between the quotation marks has been checked by checkWord.

const always = "default_t()"

func hasHeader(name string) string { return `req_header_key_in("` + name + `")` }

func headerIs(name string, values ...string) string {
	return `req_header_value_in("` + name + `", "` + strings.Join(values, "|") + `", false)`
}

func hasCookie(name string) string { return `req_cookie_key_in("` + name + `")` }

func cookieIs(name, value string) string {
	return `req_cookie_value_in("` + name + `", "` + value + `", false)`
}

// under matches the path and what lies below it, by whole elements.
func under(path string) string { return `req_path_element_prefix_in("` + path + `", false)` }

// Any request that BFE itself takes for a WebSocket, in any case of letters.
const isWebSocket = `req_header_value_in("Upgrade", "websocket", true)`

const isGRPC = `req_header_value_prefix_in("Content-Type", "application/grpc", true)`

func and(conditions ...string) string {
	var out []string
	for _, c := range conditions {
		if c != "" {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return always
	}
	return strings.Join(out, " && ")
}

func not(condition string) string { return "!" + condition }

// What operators' words may consist of: nothing that a condition, BFE's table of
// hosts or a template of mod_header reads as its own.
const (
	letters    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	hostRunes  = letters + "-._"
	pathRunes  = letters + "-._~/"
	tokenRunes = letters + "-_"
)

// checkWord refuses what is not made of the runes allowed.
func checkWord(field, s, allowed string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(allowed, r) }) {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: may contain letters, digits and %s only, so that BFE reads it as one word", field, s, strings.Join(strings.Split(strings.TrimPrefix(allowed, letters), ""), " "))
	}
	return nil
}
