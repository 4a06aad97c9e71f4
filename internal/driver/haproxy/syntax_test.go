package haproxy

import (
	"testing"

	"abt2.dev"
)

func TestParseVersion(t *testing.T) {
	for said, want := range map[string]string{
		"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: x\n": "2.6.12-1+deb12u4",
		"HAProxy version 3.2.1-abc 2026/01/01":                                            "3.2.1-abc",
		"HA-Proxy version 2.6.0 2022/05/31":                                               "2.6.0",
		"HAProxy version 10.0.0 2040/01/01":                                               "10.0.0",
		"HA-Proxy version 2.2.9-2+deb11u6 2023/12/01 - https://haproxy.org/":              "",
		"HAProxy version 2.5.14 2023/05/02":                                               "",
		"HA-Proxy version 1.8.1":                                                          "",
		"nginx version: nginx/1.22.1":                                                     "",
		"":                                                                                "",
	} {
		got, err := parseVersion(said)
		if got != want || (want == "") != (abt2.CodeOf(err) == abt2.CodeRefused) {
			t.Errorf("%q: %q, error %v; want %q", said, got, err, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, s := range []string{"web-1-1", "web@1", "a:b", ":", "::3A", "é\x00\n ", "a_b.c-d", ""} {
		name := escape(s)
		for i := range len(name) {
			if c := name[i]; !isAlphanumeric(c) && c != '-' && c != '.' && c != '_' && c != ':' {
				t.Errorf("%q became %q", s, name)
			}
		}
		if back, ok := unescape(name); !ok || back != s {
			t.Errorf("%q became %q and then %q", s, name, back)
		}
	}
	for _, name := range []string{":", "a:4", ":zz"} {
		if s, ok := unescape(name); ok {
			t.Errorf("%q was read as %q", name, s)
		}
	}
}
