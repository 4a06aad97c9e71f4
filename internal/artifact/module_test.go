package artifact_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
	"abt2.dev/internal/artifact"
)

func ptr[T any](v T) *T { return &v }

func TestDecodeModule(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want abt2.ConfigPatch
	}{
		"nothing":       {"", abt2.ConfigPatch{}},
		"comments only": {"# kind: edge\n", abt2.ConfigPatch{}},
		"null":          {"---\n~\n", abt2.ConfigPatch{}},
		"all of it": {`
kind: edge
prefix: /api
command: ["./api"]
args: [-v, "a b"]
env: {LOG_LEVEL: info, DEBUG: true, N: 012}
env_file: secrets.env
health: /healthz
ready_timeout: 60s
instances: 2
fallback: none
stop_grace: 1m30s
preview: hold
compat: default
`, abt2.ConfigPatch{
			Kind: ptr(abt2.KindEdge), Prefix: ptr("/api"), Command: []string{"./api"}, Args: []string{"-v", "a b"},
			Env: map[string]string{"LOG_LEVEL": "info", "DEBUG": "true", "N": "012"}, EnvFile: ptr("secrets.env"), Health: ptr("/healthz"),
			ReadyTimeout: ptr(abt2.Duration(time.Minute)), StopGrace: ptr(abt2.Duration(90 * time.Second)), Fallback: ptr(abt2.FallbackNone),
			Preview: ptr(abt2.PreviewHold), Compat: ptr(abt2.DefaultProduct), Instances: ptr(2),
		}},
		"addresses":                     {"external: [10.0.0.1:80, 'order.internal:80']\n", abt2.ConfigPatch{External: abt2.External{"10.0.0.1:80", "order.internal:80"}}},
		"a DNS name":                    {"external: dns:order.internal\n", abt2.ConfigPatch{External: abt2.External{"dns:order.internal"}}},
		"who is registered":             {"external: registry\n", abt2.ConfigPatch{External: abt2.External{abt2.ExternalRegistry}}},
		"a name":                        {"navi: {namespace: shop, interface: com.example.Order}\n", abt2.ConfigPatch{Navi: &abt2.ServiceName{Namespace: "shop", Interface: "com.example.Order"}}},
		"half a name":                   {"navi: {interface: Order}\n", abt2.ConfigPatch{Navi: &abt2.ServiceName{Interface: "Order"}}},
		"no addresses":                  {"external: []\n", abt2.ConfigPatch{External: abt2.External{}}},
		"left out and said to be empty": {"env:\nargs: []\nhealth: ''\n", abt2.ConfigPatch{Args: []string{}, Health: ptr("")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := artifact.DecodeModule([]byte(c.yaml), "module.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestEveryFieldHasAName: a field of a patch that YAML cannot reach would be
// forgotten silently.
func TestEveryFieldHasAName(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[abt2.ConfigPatch]()) {
		if name := f.Tag.Get("yaml"); name == "" || strings.ContainsAny(name, ",-") {
			t.Errorf("%s is called %q", f.Name, name)
		}
	}
}

func TestDecodeModuleRefused(t *testing.T) {
	for name, c := range map[string]struct {
		yaml  string
		words []string
	}{
		"unknown field":          {"kind: edge\nprefx: /api\n", []string{"line 2", `field "prefx"`, "unknown", "known: kind, prefix, command", "instances"}},
		"unknown part of a name": {"navi: {group: shop}\n", []string{"line 1", "navi", `"group"`, "namespace, interface"}},
		"a word for a name":      {"navi: Order\n", []string{"line 1", "navi", "must be like"}},
		"field twice":            {"kind: edge\nprefix: /\nkind: job\n", []string{"line 3", "field kind", "line 1 already"}},
		"variable twice":         {"env:\n  A: 1\n  A: 2\n", []string{"field env", `"A" already defined at line 2`}},
		"another document":       {"kind: edge\n---\nkind: job\n", []string{"after the first document"}},
		"another one, not YAML":  {"kind: edge\n---\n{", []string{"after the first document"}},
		"a list":                 {"- kind: edge\n", []string{"line 1", "kind: service", "known:"}},
		"a word":                 {"edge", []string{"known:"}},
		"no YAML":                {"kind: [edge", []string{"line 1"}},
		"a map of addresses":     {"kind: edge\nexternal: {a: 1}\n", []string{"line 2", "field external", "a list of addresses"}},
		"text where a list is":   {"kind: edge\ncommand: ./api\n", []string{"line 2", "field command", "must be a list"}},
		"list where text is":     {"kind: [edge]\n", []string{"field kind", "one word"}},
		"list where a map is":    {"env: [A]\n", []string{"field env", "LOG_LEVEL: info"}},
		"text where a number is": {"instances: two\n", []string{"field instances", "whole number"}},
		"a fraction":             {"instances: 1.5\n", []string{"whole number"}},
		"no unit":                {"ready_timeout: 60\n", []string{"field ready_timeout", `"60"`, "60s"}},
		"merged":                 {"x: &x {kind: edge}\n<<: *x\n", []string{`field "x"`}},
		"no such anchor":         {"kind: *x\n", []string{"anchor"}},
		"too large":              {"# " + strings.Repeat("x", 64<<10), []string{"65536 bytes"}},
		"control characters":     {"kind: \"\x00\"", []string{"control characters"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := artifact.DecodeModule([]byte(c.yaml), "shop/module.yaml")
			wantError(t, err, abt2.CodeInvalid, append(c.words, "shop/module.yaml: ")...)
			if !reflect.DeepEqual(got, abt2.ConfigPatch{}) {
				t.Errorf("and yet %+v", got)
			}
		})
	}
}

func FuzzDecodeModule(f *testing.F) {
	for _, s := range []string{
		"", "kind: edge\nprefix: /api\n", "kind: edge\nkind: job", "a: &a [*a]", "env: {A: 1, A: 2}", "args: !!binary x", "---\n---\n",
		"instances: 1e3", "ready_timeout: {}", "env: &e {<<: *e}", "? [a]\n: b", "!!set {a}", "kind: !!float edge",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		patch, err := artifact.DecodeModule(b, "module.yaml")
		if err != nil && abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("got %v", err)
		}
		if err != nil && !reflect.DeepEqual(patch, abt2.ConfigPatch{}) {
			t.Errorf("%v and yet %+v", err, patch)
		}
	})
}
