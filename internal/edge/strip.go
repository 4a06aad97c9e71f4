package edge

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"abt2.dev"
	"abt2.dev/lane/stamp"
)

// tokenCookie is the cookie that selects an environment other than online.
const tokenCookie = "abt2"

// ourCookies are those that only browsers and edges know.
var ourCookies = [...]string{tokenCookie, abt2.VisitorCookie, abt2.PageCookie}

func isOurCookie(name string) bool {
	for _, ours := range ourCookies {
		if strings.EqualFold(name, ours) {
			return true
		}
	}
	return false
}

// stripNames deletes every header of abt2's own from h, in any case and with
// any separator: a receiver that reads headers as CGI variables cannot tell
// Abt2_Env from Abt2-Env.
func stripNames(h http.Header) {
	for name := range h {
		if isOurName(name) {
			delete(h, name)
		}
	}
}

func isOurName(name string) bool {
	return len(name) > 5 && name[3] == '2' && !isAlphanumeric(name[4]) && strings.EqualFold(name[:3], "abt")
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// foreignMembers returns the list-members of baggage headers (W3C Baggage,
// section 3.3.1) that are not ours, byte for byte, joined to one header value.
func foreignMembers(values []string) string {
	if len(values) == 1 && !mayNameMember(values[0]) {
		return strings.Trim(values[0], " \t,")
	}
	var b strings.Builder
	for _, v := range values {
		for member := range strings.SplitSeq(v, ",") {
			member = textproto.TrimString(member)
			if member == "" || isOurMember(member) {
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(member)
		}
	}
	return b.String()
}

// mayNameMember is false where no member of v can be ours; it spares the common
// request the parsing.
func mayNameMember(v string) bool {
	for i := 0; i+3 < len(v); i++ {
		if v[i] == '%' || v[i+3] == '2' && v[i]|0x20 == 'a' && v[i+1]|0x20 == 'b' && v[i+2]|0x20 == 't' {
			return true
		}
	}
	return false
}

// isOurMember compares a member's key as the most liberal reader would: some
// OpenTelemetry implementations decode keys although the rule allows no encoding.
func isOurMember(member string) bool {
	key, _, _ := strings.Cut(member, "=")
	key, _, _ = strings.Cut(key, ";")
	if strings.ContainsAny(key, "%+") {
		if k, err := url.QueryUnescape(key); err == nil {
			key = k
		}
	}
	return strings.EqualFold(strings.TrimSpace(key), stamp.BaggageMember)
}

// stampBaggage puts the stamp before the foreign members: readers that limit
// the number or length of members drop the last ones.
func stampBaggage(h http.Header, own []string) {
	values := h[stamp.BaggageHeader]
	if len(values) > 0 {
		if rest := foreignMembers(values); rest != "" {
			h[stamp.BaggageHeader] = []string{own[0] + "," + rest}
			return
		}
	}
	h[stamp.BaggageHeader] = own
}

// stripCookie removes our cookies from h, in any case; all others stay byte for
// byte. It keeps to RFC 6265, section 5.4: pairs are separated by semicolons
// and quotation marks protect nothing.
func stripCookie(h http.Header) {
	values := h["Cookie"]
	found := false
	for _, v := range values {
		found = found || mayNameCookie(v)
	}
	if !found {
		return
	}
	kept := make([]string, 0, len(values))
	for _, v := range values {
		if v, any := withoutCookie(v); any {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// withoutCookie returns the value of a Cookie header without our pairs, and
// whether anything is left.
func withoutCookie(v string) (string, bool) {
	var b strings.Builder
	ours := false
	for pair := range strings.SplitSeq(v, ";") {
		if name, _ := cutPair(pair); isOurCookie(name) {
			ours = true
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		} else {
			pair = strings.TrimLeft(pair, " \t")
		}
		b.WriteString(pair)
	}
	if !ours {
		return v, true
	}
	return b.String(), strings.Trim(b.String(), "; \t") != ""
}

func mayNameCookie(v string) bool {
	for i := 0; i+3 < len(v); i++ {
		if v[i+3] == '2' && v[i]|0x20 == 'a' && v[i+1]|0x20 == 'b' && v[i+2]|0x20 == 't' {
			return true
		}
	}
	return false
}

func cutPair(pair string) (name, value string) {
	name, value, _ = strings.Cut(pair, "=")
	return textproto.TrimString(name), textproto.TrimString(value)
}
