package edge

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

func TestIsOurName(t *testing.T) {
	for name, want := range map[string]bool{
		"Abt2-Env": true, "Abt2_env": true, "abt2.to": true, "ABT2-TOKEN": true, "Abt2-Probe": true, "Abt2-X": true,
		"Abt2": false, "Abt2-": false, "Abt20-Env": false, "Xabt2-Env": false, "Abt-Env": false, "Accept": false, "": false,
	} {
		if got := isOurName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestRequestToken(t *testing.T) {
	long := strings.Repeat("a", maxToken+1)
	for _, c := range []struct {
		header http.Header
		token  string
		bad    bool
	}{
		{http.Header{}, "", false},
		{http.Header{"Cookie": {"a=abt2; babt2=x"}}, "", false},
		{http.Header{"Cookie": {"ABT2=x"}}, "", false},
		{http.Header{"Cookie": {"a=1; abt2=tok-_1 ; b=2"}}, "tok-_1", false},
		{http.Header{"Cookie": {"a=1", "abt2=tok"}}, "tok", false},
		{http.Header{"Cookie": {"abt2=tok; abt2=tok"}}, "tok", false},
		{http.Header{"Cookie": {"abt2=tok; abt2="}}, "tok", false},
		{http.Header{"Cookie": {"abt2=tok; abt2=other"}}, "", true},
		{http.Header{"Cookie": {"abt2=tok", "abt2=other"}}, "", true},
		{http.Header{"Cookie": {"abt2=" + long}}, "", true},
		{http.Header{"Cookie": {`abt2="tok"`}}, "", true},
		{http.Header{"Abt2-Token": {"head"}, "Cookie": {"abt2=tok"}}, "head", false},
		{http.Header{"Abt2-Token": {"head", "head"}}, "", true},
		{http.Header{"Abt2-Token": {"a,b"}}, "", true},
		{http.Header{"Abt2-Token": {""}}, "", true},
		{http.Header{"Abt2-Token": {long}}, "", true},
	} {
		token, bad := requestToken(c.header)
		if (bad != "") != c.bad || bad == "" && token != c.token {
			t.Errorf("%v: token %q, bad %q; want %q, %v", c.header, token, bad, c.token, c.bad)
		}
	}
}

func FuzzStripCookie(f *testing.F) {
	for _, s := range []string{
		"", "abt2=x", "a=1; abt2=x; b=2", "abt2=x;abt2=y", " ABT2 = x ;a", `a="b; abt2=c; d"`, ";;abt2;;", "a=abt2", "abt2", "=abt2=", "a=1;  b=2",
		"abt2-page=1.2.x; a=1", "a; ABT2-Visitor = x", "abt2-pages=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		h := http.Header{"Cookie": {v}}
		before := foreignPairs(h)
		stripCookie(h)
		for _, v := range h["Cookie"] {
			for pair := range strings.SplitSeq(v, ";") {
				if name, _ := cutPair(pair); isOurCookie(name) {
					t.Errorf("%q: %q is left", v, pair)
				}
			}
		}
		if after := foreignPairs(h); !slices.Equal(before, after) {
			t.Errorf("%q: cookies %q became %q", v, before, after)
		}
		if !strings.Contains(strings.ToLower(v), "abt2") && (len(h["Cookie"]) != 1 || h["Cookie"][0] != v) {
			t.Errorf("%q became %q", v, h["Cookie"])
		}
	})
}

// foreignPairs lists the cookies that are not ours, as they are written.
func foreignPairs(h http.Header) (out []string) {
	for _, v := range h["Cookie"] {
		for pair := range strings.SplitSeq(v, ";") {
			if name, _ := cutPair(pair); !isOurCookie(name) && strings.Trim(pair, " \t") != "" {
				out = append(out, strings.TrimLeft(pair, " \t"))
			}
		}
	}
	return out
}

func FuzzStampBaggage(f *testing.F) {
	for _, s := range []string{
		"", "a=1", "abt2.env=1", "a=1,abt2.env=1,b=2", " abt2.env = 1 ;p=q , b", "abt2%2eenv=1", "+abt2.env=1", "ABT2.ENV=1", "abt2.envoy=1", ",,a=1,,", "%zz=1", "a;abt2.env=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		h := http.Header{"Baggage": {v}}
		stampBaggage(h, []string{"abt2.env=7"})
		got := h["Baggage"]
		if len(got) != 1 {
			t.Fatalf("%q became %q", v, got)
		}
		rest, ok := strings.CutPrefix(got[0], "abt2.env=7")
		if !ok {
			t.Fatalf("%q became %q", v, got)
		}
		var want []string
		for m := range strings.SplitSeq(v, ",") {
			if m = textproto.TrimString(m); m != "" && !isOurMember(m) {
				want = append(want, m)
			}
		}
		var have []string
		for m := range strings.SplitSeq(rest, ",") {
			if m = textproto.TrimString(m); m != "" {
				have = append(have, m)
			}
			if isOurMember(m) {
				t.Errorf("%q: %q is left", v, m)
			}
		}
		if !slices.Equal(want, have) {
			t.Errorf("%q: members %q became %q", v, want, have)
		}
	})
}
