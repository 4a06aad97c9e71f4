package stamp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"

	"abt2.dev/lane/stamp"
)

func TestEnv(t *testing.T) {
	for _, tt := range []struct {
		name    string
		own     []string
		baggage []string
		want    uint64
		fails   bool
	}{
		{name: "none"},
		{name: "own", own: []string{"42"}, want: 42},
		{name: "label", own: []string{"42.canary"}, want: 42},
		{name: "label with dots", own: []string{"42.a.b"}, want: 42},
		{name: "largest", own: []string{"18446744073709551615"}, want: 1<<64 - 1},
		{name: "baggage", baggage: []string{"abt2.env=42"}, want: 42},
		{name: "baggage among others", baggage: []string{"a=1, abt2.env = 42;p=1 ,b=2"}, want: 42},
		{name: "baggage on the second line", baggage: []string{"a=1", "b=2,abt2.env=42"}, want: 42},
		{name: "names that contain it", baggage: []string{"xabt2.env=1,abt2.environment=2,a=abt2.env"}},
		{name: "own before baggage", own: []string{"42"}, baggage: []string{"abt2.env=41"}, want: 42},
		{name: "own before malformed baggage", own: []string{"42"}, baggage: []string{"abt2.env=x"}, want: 42},
		{name: "empty", own: []string{""}, fails: true},
		{name: "zero", own: []string{"0"}, fails: true},
		{name: "leading zero", own: []string{"042"}, fails: true},
		{name: "negative", own: []string{"-1"}, fails: true},
		{name: "plus", own: []string{"+1"}, fails: true},
		{name: "space", own: []string{" 42"}, fails: true},
		{name: "hexadecimal", own: []string{"0x2a"}, fails: true},
		{name: "underscore", own: []string{"4_2"}, fails: true},
		{name: "huge", own: []string{"18446744073709551616"}, fails: true},
		{name: "only a label", own: []string{".canary"}, fails: true},
		{name: "twice", own: []string{"42", "42"}, fails: true},
		{name: "list", own: []string{"42,43"}, fails: true},
		{name: "malformed own before good baggage", own: []string{"x"}, baggage: []string{"abt2.env=42"}, fails: true},
		{name: "baggage twice", baggage: []string{"abt2.env=42,abt2.env=42"}, fails: true},
		{name: "baggage twice, on two lines", baggage: []string{"abt2.env=42", "abt2.env=43"}, fails: true},
		{name: "baggage malformed", baggage: []string{"abt2.env=-1"}, fails: true},
		{name: "baggage without value", baggage: []string{"abt2.env"}, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.own != nil {
				h[stamp.EnvHeader] = tt.own
			}
			if tt.baggage != nil {
				h[stamp.BaggageHeader] = tt.baggage
			}
			got, err := stamp.Env(h)
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestHeadersAreCanonical(t *testing.T) {
	for _, h := range []string{stamp.EnvHeader, stamp.TokenHeader, stamp.ToHeader, stamp.ServedHeader, stamp.RefusedHeader, stamp.ProbeHeader, stamp.BaggageHeader} {
		if http.CanonicalHeaderKey(h) != h {
			t.Errorf("%s is looked up without canonicalisation", h)
		}
	}
}

func TestTo(t *testing.T) {
	for s, want := range map[string]stamp.To{
		"order@3":                  {Version: "order@3"},
		"order@3/order-3.a_b":      {Version: "order@3", Instance: "order-3.a_b"},
		"a-1@18446744073709551615": {Version: "a-1@18446744073709551615"},
	} {
		got, err := stamp.ParseTo(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "order", "order@", "@3", "order@0", "order@03", "order@x", "Order@3", "order@3/", "order@3/a/b", "order@3/a b", "order@3,order@4", "-a@1", strings.Repeat("a", 41) + "@1"} {
		if got, err := stamp.ParseTo(s); err == nil {
			t.Errorf("%q: got %v", s, got)
		}
	}
	for _, tt := range []struct {
		to   string
		want bool
	}{{"order@3", true}, {"order@3/i", true}, {"order@3/j", false}, {"order@4", false}, {"order@4/i", false}, {"stock@3", false}} {
		to, err := stamp.ParseTo(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := to.Names("order@3", "i"); got != tt.want {
			t.Errorf("%s names order@3/i: %v", tt.to, got)
		}
	}
	if !(stamp.To{}).Names("order@3", "i") {
		t.Error("a request to nobody in particular is for everybody")
	}
	if _, err := stamp.ValuesOf(http.Header{stamp.ToHeader: {"order@3", "order@3"}}).Address(); err == nil {
		t.Error("given twice: accepted")
	}
}

func TestModule(t *testing.T) {
	for host, want := range map[string]string{
		"order": "order", "order-2": "order-2", "localhost": "", "order:80": "", "order.local": "", "127.0.0.1": "", "Order": "", "": "", "[::1]": "",
	} {
		if got := stamp.Module(host); got != want {
			t.Errorf("%q: got %q", host, got)
		}
	}
}

func TestStripAndMerge(t *testing.T) {
	for _, tt := range []struct {
		name     string
		values   []string
		stripped []string
		merged   string
	}{
		{"none", nil, nil, "abt2.env=42"},
		{"empty", []string{""}, []string{""}, "abt2.env=42"},
		{"foreign", []string{"a=1,b=2;p"}, []string{"a=1,b=2;p"}, "abt2.env=42,a=1,b=2;p"},
		{"own", []string{"abt2.env=41"}, nil, "abt2.env=42"},
		{"own twice among foreign", []string{"a=1, abt2.env=41 ,b=2", "abt2.env=40;p=q"}, []string{"a=1,b=2"}, "abt2.env=42,a=1,b=2"},
		{"foreign on two lines", []string{"a=1", "b=2"}, []string{"a=1", "b=2"}, "abt2.env=42,a=1,b=2"},
		{"names that contain it", []string{"xabt2.env=1,abt2.envx=2"}, []string{"xabt2.env=1,abt2.envx=2"}, "abt2.env=42,xabt2.env=1,abt2.envx=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := slices.Clone(tt.values)
			if got := stamp.Strip(values); !slices.Equal(got, tt.stripped) {
				t.Errorf("stripped: got %q, want %q", got, tt.stripped)
			}
			if got := stamp.Merge(values, 42); got != tt.merged {
				t.Errorf("merged: got %q, want %q", got, tt.merged)
			}
			if !slices.Equal(values, tt.values) {
				t.Errorf("changed its argument: %q", values)
			}
		})
	}
}

// TestOpenTelemetryHopCarriesTheStamp passes a request through a hop that knows
// OpenTelemetry and nothing of abt2.
func TestOpenTelemetryHopCarriesTheStamp(t *testing.T) {
	in := httptest.NewRequest("GET", "/", nil)
	in.Header.Set(stamp.EnvHeader, "42")
	in.Header.Set(stamp.BaggageHeader, "user=7")
	ctx := stamp.ContextWithBaggage(in.Context(), in.Header[stamp.BaggageHeader], 42)
	if got := stamp.FromContext(ctx); got != 42 {
		t.Errorf("in the context: %d", got)
	}

	hop := http.Header{}
	propagation.Baggage{}.Inject(ctx, propagation.HeaderCarrier(hop))
	if env, err := stamp.Env(hop); env != 42 || err != nil {
		t.Errorf("after the hop: %d, %v in %v", env, err, hop)
	}
	if !strings.Contains(hop.Get(stamp.BaggageHeader), "user=7") {
		t.Errorf("the foreign member is lost: %v", hop)
	}
	if got := stamp.OutgoingBaggage(ctx, nil, stamp.Member(42)); got != "abt2.env=42,user=7" {
		t.Errorf("outgoing from the context: %q", got)
	}
	if got := stamp.OutgoingBaggage(ctx, []string{"own=1"}, stamp.Member(42)); got != "abt2.env=42,own=1" {
		t.Errorf("outgoing from the call's own header: %q", got)
	}
	if got := stamp.FromContext(context.Background()); got != 0 {
		t.Errorf("of an empty context: %d", got)
	}
}

func FuzzEnv(f *testing.F) {
	for _, s := range []string{"42", "42.canary", "0", "-1", "+1", "", ".", "18446744073709551616", "a=1,abt2.env=42;p=1", "abt2.env=1,abt2.env=2"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, own, bag string) {
		env, err := stamp.Env(http.Header{stamp.EnvHeader: {own}})
		if err == nil && own != stamp.FormatEnv(env) && !strings.HasPrefix(own, stamp.FormatEnv(env)+".") {
			t.Errorf("%q was read as %d", own, env)
		}
		if (err == nil) != (env != 0) {
			t.Errorf("%q: %d, %v", own, env, err)
		}
		h := http.Header{stamp.BaggageHeader: {bag}}
		env, err = stamp.Env(h)
		if err != nil {
			return
		}
		// What is read is never another member than OpenTelemetry reads, where it can read the list.
		if parsed, perr := baggage.Parse(bag); perr == nil && env != 0 {
			if v := parsed.Member(stamp.BaggageMember).Value(); v != stamp.FormatEnv(env) && !strings.HasPrefix(v, stamp.FormatEnv(env)+".") {
				t.Errorf("%q: read %d, OpenTelemetry reads %q", bag, env, v)
			}
		}
		merged := http.Header{stamp.BaggageHeader: {stamp.Merge(h[stamp.BaggageHeader], 7)}}
		if got, err := stamp.Env(merged); got != 7 || err != nil {
			t.Errorf("%q merged is %v: read %d, %v", bag, merged, got, err)
		}
		if got, err := stamp.Env(http.Header{stamp.BaggageHeader: stamp.Strip(h[stamp.BaggageHeader])}); got != 0 || err != nil {
			t.Errorf("%q stripped: read %d, %v", bag, got, err)
		}
	})
}

func FuzzTo(f *testing.F) {
	for _, s := range []string{"order@3", "order@3/i", "order@", "@", "/", "order@3/", "order@03"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := stamp.ParseTo(s)
		if err != nil {
			return
		}
		if to.String() != s {
			t.Errorf("%q was read as %v", s, to)
		}
		if !to.Names(to.Version, to.Instance) {
			t.Errorf("%v does not name itself", to)
		}
	})
}
