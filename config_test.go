package abt2_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
)

func TestDeriveConfig(t *testing.T) {
	seconds := func(n int) abt2.Duration { return abt2.Duration(time.Duration(n) * time.Second) }
	service := abt2.ConfigPatch{Kind: ptr(abt2.KindService)}
	defaults := abt2.Config{
		Kind: abt2.KindService, Health: abt2.HealthTCP, ReadyTimeout: seconds(60), StopGrace: seconds(10), Fallback: abt2.FallbackNone,
	}
	with := func(change func(*abt2.Config)) abt2.Config {
		c := defaults
		change(&c)
		return c
	}
	for _, c := range []struct {
		name    string
		patches []abt2.ConfigPatch
		want    abt2.Config
	}{
		{"service", []abt2.ConfigPatch{service}, defaults},
		{"edge", []abt2.ConfigPatch{{Kind: ptr(abt2.KindEdge), Prefix: ptr("/api")}}, with(func(c *abt2.Config) {
			c.Kind, c.Prefix = abt2.KindEdge, "/api"
		})},
		{"a job is held and has no health check", []abt2.ConfigPatch{{Kind: ptr(abt2.KindJob)}}, with(func(c *abt2.Config) {
			c.Kind, c.Health, c.Preview = abt2.KindJob, "", abt2.PreviewHold
		})},
		{"the first has the last word, field by field", []abt2.ConfigPatch{
			{StopGrace: ptr(seconds(1))}, {StopGrace: ptr(seconds(2)), ReadyTimeout: ptr(seconds(3))}, service, {Kind: ptr(abt2.KindJob), Health: ptr("/ok")},
		}, with(func(c *abt2.Config) { c.StopGrace, c.ReadyTimeout, c.Health = seconds(1), seconds(3), "/ok" })},
		{"lists and maps replace as a whole", []abt2.ConfigPatch{
			{Args: []string{"-v"}, Env: map[string]string{"A": "1"}}, service,
			{Args: []string{"-q", "-x"}, Env: map[string]string{"B": "2"}, Command: []string{"./run"}},
		}, with(func(c *abt2.Config) {
			c.Args, c.Env, c.Command = []string{"-v"}, map[string]string{"A": "1"}, []string{"./run"}
		})},
		{"an empty list or map is said, not left out", []abt2.ConfigPatch{
			{Args: []string{}, Env: map[string]string{}}, service, {Args: []string{"-q"}, Env: map[string]string{"B": "2"}},
		}, defaults},
		{"addresses are written in one way and sorted", []abt2.ConfigPatch{
			{External: abt2.External{"Order.Internal:80", "10.0.0.1:80", "[::FFFF:10.0.0.2]:80"}}, service,
		}, with(func(c *abt2.Config) { c.External = abt2.External{"10.0.0.1:80", "10.0.0.2:80", "order.internal:80"} })},
		{"a DNS name in place of addresses", []abt2.ConfigPatch{{External: abt2.External{"dns:order.internal"}}, service},
			with(func(c *abt2.Config) { c.External = abt2.External{"dns:order.internal"} })},
		{"an empty list takes addresses away", []abt2.ConfigPatch{{External: abt2.External{}}, service, {External: abt2.External{"10.0.0.1:80"}}}, defaults},
		{"who becomes external inherits no command", []abt2.ConfigPatch{abt2.InheritedPatch(
			with(func(c *abt2.Config) {
				c.Command, c.Env, c.EnvFile, c.Health = []string{"./run"}, map[string]string{"A": "1"}, "s.env", "/up"
			}),
			abt2.External{"10.0.0.1:80"},
		)}, with(func(c *abt2.Config) { c.Health, c.External = "/up", abt2.External{"10.0.0.1:80"} })},
		{"who is run again inherits no addresses", []abt2.ConfigPatch{
			abt2.InheritedPatch(with(func(c *abt2.Config) { c.External = abt2.External{"10.0.0.1:80"} }), nil),
		}, defaults},
		{"a whole configuration of itself", []abt2.ConfigPatch{abt2.PatchOf(defaults)}, defaults},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := abt2.DeriveConfig("order", c.patches...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestDeriveConfigSharesNothing(t *testing.T) {
	p := abt2.ConfigPatch{Kind: ptr(abt2.KindService), Args: []string{"-v"}, Env: map[string]string{"A": "1"}}
	c, err := abt2.DeriveConfig("order", p)
	must(t, err)
	c.Args[0], c.Env["A"] = "-q", "2"
	if p.Args[0] != "-v" || p.Env["A"] != "1" {
		t.Errorf("the patch is now %v %v", p.Args, p.Env)
	}
}

func TestConfigRefused(t *testing.T) {
	service := func(p abt2.ConfigPatch) abt2.ConfigPatch { p.Kind = ptr(abt2.KindService); return p }
	edge := func(prefix string) abt2.ConfigPatch {
		return abt2.ConfigPatch{Kind: ptr(abt2.KindEdge), Prefix: &prefix}
	}
	external := func(list ...string) abt2.ConfigPatch { return service(abt2.ConfigPatch{External: list}) }
	env := func(k, v string) abt2.ConfigPatch { return service(abt2.ConfigPatch{Env: map[string]string{k: v}}) }
	for name, c := range map[string]struct {
		patch abt2.ConfigPatch
		words []string
	}{
		"no kind":                {abt2.ConfigPatch{}, []string{`kind ""`, "--kind"}},
		"unknown kind":           {abt2.ConfigPatch{Kind: ptr(abt2.Kind("daemon"))}, []string{`kind "daemon"`, "edge, service or job"}},
		"edge without prefix":    {abt2.ConfigPatch{Kind: ptr(abt2.KindEdge)}, []string{`prefix ""`, "/api"}},
		"prefix without slash":   {edge("api"), []string{`prefix "api"`, "beginning with /"}},
		"prefix ending in one":   {edge("/api/"), []string{`prefix "/api/"`}},
		"prefix with dots":       {edge("/a/../b"), []string{"clean path"}},
		"prefix of ours":         {edge("/.abt2"), []string{"belongs to abt2"}},
		"prefix below ours":      {edge("/.abt2/x"), []string{"belongs to abt2"}},
		"prefix with a query":    {edge("/a?b"), []string{"letters, digits"}},
		"prefix with a space":    {edge("/a b"), []string{"letters, digits"}},
		"prefix of a service":    {service(abt2.ConfigPatch{Prefix: ptr("/x")}), []string{"only a module of kind edge"}},
		"health":                 {service(abt2.ConfigPatch{Health: ptr("http")}), []string{`health "http"`, "or tcp"}},
		"health with a space":    {service(abt2.ConfigPatch{Health: ptr("/a b")}), []string{`health "/a b"`}},
		"health with bad %":      {service(abt2.ConfigPatch{Health: ptr("/%zz")}), []string{"health"}},
		"no time to be ready":    {service(abt2.ConfigPatch{ReadyTimeout: ptr(abt2.Duration(0))}), []string{`ready_timeout "0s"`, "1h"}},
		"too long to be ready":   {service(abt2.ConfigPatch{ReadyTimeout: ptr(abt2.Duration(2 * time.Hour))}), []string{`ready_timeout "2h0m0s"`}},
		"negative grace":         {service(abt2.ConfigPatch{StopGrace: ptr(abt2.Duration(-1))}), []string{"stop_grace"}},
		"too much grace":         {service(abt2.ConfigPatch{StopGrace: ptr(abt2.Duration(2 * time.Hour))}), []string{"stop_grace"}},
		"fallback":               {service(abt2.ConfigPatch{Fallback: ptr(abt2.Fallback("any"))}), []string{`fallback "any"`, "none or online"}},
		"preview of a service":   {service(abt2.ConfigPatch{Preview: ptr(abt2.PreviewRun)}), []string{"kind: job"}},
		"preview of a job":       {abt2.ConfigPatch{Kind: ptr(abt2.KindJob), Preview: ptr(abt2.PreviewMode("x"))}, []string{"hold or run"}},
		"compat of a job":        {abt2.ConfigPatch{Kind: ptr(abt2.KindJob), Compat: ptr(abt2.DefaultProduct)}, []string{"compat", "only a service"}},
		"name of a job":          {abt2.ConfigPatch{Kind: ptr(abt2.KindJob), Navi: &abt2.ServiceName{Interface: "Order"}}, []string{"navi", "only a service"}},
		"name with a slash":      {service(abt2.ConfigPatch{Navi: &abt2.ServiceName{Interface: "a/b"}}), []string{`"a/b"`, "letters, digits"}},
		"namespace with a slash": {service(abt2.ConfigPatch{Navi: &abt2.ServiceName{Namespace: "../zookeeper"}}), []string{`"../zookeeper"`}},
		"hidden namespace":       {service(abt2.ConfigPatch{Navi: &abt2.ServiceName{Namespace: ".abt2"}}), []string{`".abt2"`, "dot"}},
		"name like a version":    {service(abt2.ConfigPatch{Navi: &abt2.ServiceName{Interface: "7"}}), []string{`"7"`, "letter"}},
		"endless name":           {service(abt2.ConfigPatch{Navi: &abt2.ServiceName{Interface: strings.Repeat("a", 201)}}), []string{"at most 200"}},
		"registry not asked":     {service(abt2.ConfigPatch{External: abt2.External{abt2.ExternalRegistry}}), []string{`"registry"`}},
		"compat of no product":   {service(abt2.ConfigPatch{Compat: ptr(abt2.ProductName("My Shop"))}), []string{`"My Shop"`}},
		"no program":             {service(abt2.ConfigPatch{Command: []string{"", "x"}}), []string{"command"}},
		"zero byte in args":      {service(abt2.ConfigPatch{Args: []string{"a\x00b"}}), []string{"zero byte"}},
		"zero byte in env_file":  {service(abt2.ConfigPatch{EnvFile: ptr("a\x00")}), []string{"zero byte"}},
		"nameless variable":      {env("", "x"), []string{"env"}},
		"variable with =":        {env("A=B", "x"), []string{`env "A=B"`}},
		"variable with newline":  {env("A\nB", "x"), []string{"control characters"}},
		"variable of ours":       {env("ABT2_TOKEN", "x"), []string{"choose another name"}},
		"port":                   {env("PORT", "80"), []string{"choose another name"}},
		"zero byte in value":     {env("A", "x\x00"), []string{"zero byte"}},
		"address without port":   {external("10.0.0.1"), []string{`external "10.0.0.1"`, "HOST:PORT"}},
		"port 0":                 {external("10.0.0.1:0"), []string{"HOST:PORT"}},
		"port too high":          {external("10.0.0.1:65536"), []string{"HOST:PORT"}},
		"a URL":                  {external("http://10.0.0.1:80"), []string{"HOST:PORT"}},
		"no host":                {external(":80"), []string{"host name"}},
		"host with a space":      {external("a b:80"), []string{"host name"}},
		"half an IP address":     {external("10.0.1:80"), []string{"host name"}},
		"every address":          {external("[::]:80"), []string{"one instance"}},
		"address twice":          {external("10.0.0.1:80", "10.0.0.1:80"), []string{"twice"}},
		"address twice, folded":  {external("A:80", "a:80"), []string{"twice"}},
		"DNS name among others":  {external("10.0.0.1:80", "dns:order"), []string{"stands alone"}},
		"no DNS name":            {external("dns:"), []string{"dns:NAME"}},
		"DNS name with slash":    {external("dns://order"), []string{"dns:NAME"}},
		"DNS port":               {external("dns:order:http"), []string{"65535"}},
		"too many addresses":     {external(slices.Repeat([]string{"a:1"}, 1001)...), []string{"1001 addresses"}},
		"external job":           {abt2.ConfigPatch{Kind: ptr(abt2.KindJob), External: abt2.External{"a:1"}}, []string{"a job is not called"}},
		"external and command":   {service(abt2.ConfigPatch{Command: []string{"./x"}, External: abt2.External{"a:1"}}), []string{"command", "does not start"}},
		"external and env":       {service(abt2.ConfigPatch{Env: map[string]string{"A": "1"}, External: abt2.External{"a:1"}}), []string{"env", "does not start"}},
		"external and scale":     {service(abt2.ConfigPatch{Instances: ptr(2), External: abt2.External{"a:1"}}), []string{"instances"}},
		"no instances":           {service(abt2.ConfigPatch{Instances: ptr(0)}), []string{`instances "0"`, "1 to 1000"}},
		"too many instances":     {service(abt2.ConfigPatch{Instances: ptr(1001)}), []string{`instances "1001"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := abt2.DeriveConfig("order", c.patch)
			wantError(t, err, abt2.CodeInvalid, c.words...)
		})
	}
}

func TestConfigAccepted(t *testing.T) {
	for _, p := range []string{"/", "/api", "/a/b-c_d.e~f"} {
		if _, err := abt2.DeriveConfig("web", abt2.ConfigPatch{Kind: ptr(abt2.KindEdge), Prefix: &p, Health: ptr("/ok?deep=1")}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestDiffConfig(t *testing.T) {
	a, err := abt2.DeriveConfig("order", abt2.ConfigPatch{Kind: ptr(abt2.KindService), Env: map[string]string{"B": "2", "A": "1"}})
	must(t, err)
	if d := abt2.DiffConfig(a, a); d != nil {
		t.Errorf("differs from itself: %v", d)
	}
	b := a
	b.Args = []string{"-v", "a b"}
	b.Env = map[string]string{"A": "1"}
	b.StopGrace = abt2.Duration(time.Minute)
	want := []abt2.FieldChange{
		{Field: "args", From: "", To: `["-v" "a b"]`},
		{Field: "env", From: "A=1 B=2", To: "A=1"},
		{Field: "stop_grace", From: "10s", To: "1m0s"},
	}
	if d := cmp.Diff(want, abt2.DiffConfig(a, b)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// A whole configuration against none: every field is told.
	full := abt2.Config{
		Kind: abt2.KindEdge, Prefix: "/", Command: []string{"./api"}, Args: []string{"-v"}, Env: map[string]string{"A": "1"}, EnvFile: "secrets",
		Health: "/ok", ReadyTimeout: 1, StopGrace: 1, Fallback: abt2.FallbackOnline, Preview: abt2.PreviewRun, Compat: "shop", Navi: abt2.ServiceName{Interface: "Order"},
	}
	var fields []string
	for _, c := range abt2.DiffConfig(abt2.Config{}, full) {
		fields = append(fields, c.Field)
	}
	known := []string{"kind", "prefix", "command", "args", "env", "env_file", "health", "ready_timeout", "fallback", "stop_grace", "preview", "compat", "navi"}
	if !slices.Equal(fields, known) {
		t.Errorf("told are %v, want %v", fields, known)
	}
}

func TestVersionDigest(t *testing.T) {
	base, err := abt2.DeriveConfig("order", abt2.ConfigPatch{Kind: ptr(abt2.KindService), Env: map[string]string{"A": "1", "B": "2"}})
	must(t, err)
	same := base
	same.Env = maps.Clone(base.Env)
	if abt2.VersionDigest("x", base) != abt2.VersionDigest("x", same) {
		t.Error("the same content has two digests")
	}
	other := base
	other.Args = []string{"-v"}
	if abt2.VersionDigest("x", base) == abt2.VersionDigest("x", other) || abt2.VersionDigest("x", base) == abt2.VersionDigest("y", base) {
		t.Error("different content has one digest")
	}
}

func TestDuration(t *testing.T) {
	var d abt2.Duration
	must(t, d.UnmarshalText([]byte("1m30s")))
	if b, _ := d.MarshalText(); string(b) != "1m30s" {
		t.Errorf("got %s", b)
	}
	wantError(t, d.UnmarshalText([]byte("60")), abt2.CodeInvalid, `"60"`, "60s")
}
