package abt2

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Duration is a time.Duration that is written like 60s.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration like 1m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return Errorf(CodeInvalid, "duration %q: must be a number with a unit, like 60s or 1m30s", b)
	}
	*d = Duration(v)
	return nil
}

// Fallback says what a preview does when a version has no healthy instance.
type Fallback string

// The fallbacks of a module.
const (
	FallbackNone   Fallback = "none"
	FallbackOnline Fallback = "online" // token-selected requests to an environment never yet online go to the online version
)

// PreviewMode says whether a job runs before its version is online.
type PreviewMode string

// The preview modes of a job.
const (
	PreviewHold PreviewMode = "hold"
	PreviewRun  PreviewMode = "run"
)

// HealthTCP is the health check that only connects.
const HealthTCP = "tcp"

// Config is a version's complete run configuration, as derived when it was put.
type Config struct {
	Kind Kind `json:"kind"`
	// Prefix is the path under which an edge module is reached; it begins with /
	// and the longest one wins. Empty for services and jobs.
	Prefix string `json:"prefix,omitempty"`
	// Command runs the artifact, from inside its folder. Empty: the artifact itself.
	Command []string          `json:"command,omitempty"`
	Args    []string          `json:"args,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	// EnvFile names a file of KEY=VALUE lines that is read whenever an instance
	// starts. Its values are secrets: they are neither stored nor digested.
	EnvFile string `json:"env_file,omitempty"`
	// Health is an HTTP path, "tcp", or empty for a job: running is healthy.
	Health       string      `json:"health,omitempty"`
	ReadyTimeout Duration    `json:"ready_timeout"`
	StopGrace    Duration    `json:"stop_grace"`
	Fallback     Fallback    `json:"fallback"`
	Preview      PreviewMode `json:"preview,omitempty"` // jobs only
	// Compat is the product whose online version stands at the unversioned name.
	Compat ProductName `json:"compat,omitempty"`
	// Navi is what callers outside of abt2 know a service by; what is left empty
	// has a default, see ServiceName.
	Navi ServiceName `json:"navi,omitzero"`
	// External is where the version answers, if abt2 does not run it. Such a
	// version has no command, args, env and env_file.
	External External `json:"external,omitempty"`
}

// ConfigPatch is a configuration in which any field may be left out, as in
// module.yaml. Nil means left out; lists and maps replace as a whole.
type ConfigPatch struct {
	Kind         *Kind             `yaml:"kind" json:"kind,omitempty"`
	Prefix       *string           `yaml:"prefix" json:"prefix,omitempty"`
	Command      []string          `yaml:"command" json:"command,omitempty"`
	Args         []string          `yaml:"args" json:"args,omitempty"`
	Env          map[string]string `yaml:"env" json:"env,omitempty"`
	EnvFile      *string           `yaml:"env_file" json:"env_file,omitempty"`
	Health       *string           `yaml:"health" json:"health,omitempty"`
	ReadyTimeout *Duration         `yaml:"ready_timeout" json:"ready_timeout,omitempty"`
	StopGrace    *Duration         `yaml:"stop_grace" json:"stop_grace,omitempty"`
	Fallback     *Fallback         `yaml:"fallback" json:"fallback,omitempty"`
	Preview      *PreviewMode      `yaml:"preview" json:"preview,omitempty"`
	Compat       *ProductName      `yaml:"compat" json:"compat,omitempty"`
	Navi         *ServiceName      `yaml:"navi" json:"navi,omitempty"`
	External     External          `yaml:"external" json:"external,omitempty"`
	// Instances is the first scale of a module that abt2 has never run before.
	Instances *int `yaml:"instances" json:"instances,omitempty"`
}

// PatchOf returns the patch that makes c of any configuration.
func PatchOf(c Config) ConfigPatch {
	return ConfigPatch{
		Kind: &c.Kind, Prefix: &c.Prefix, Command: c.Command, Args: c.Args, Env: c.Env,
		EnvFile: &c.EnvFile, Health: &c.Health, ReadyTimeout: &c.ReadyTimeout, StopGrace: &c.StopGrace,
		Fallback: &c.Fallback, Preview: &c.Preview, Compat: &c.Compat,
		Navi: &c.Navi, External: c.External,
	}
}

// DeriveConfig lays patches over one another, the first having the last word,
// fills in the defaults and checks the whole. name is for messages.
func DeriveConfig(name ModuleName, patches ...ConfigPatch) (Config, error) {
	c := Config{ReadyTimeout: Duration(60 * time.Second), StopGrace: Duration(10 * time.Second), Fallback: FallbackNone}
	for _, p := range slices.Backward(patches) {
		if p.Instances != nil && (*p.Instances < 1 || *p.Instances > MaxScale) {
			return c, Errorf(CodeInvalid, "%s: instances \"%d\": must be 1 to %d", name, *p.Instances, MaxScale)
		}
		set(&c.Kind, p.Kind)
		set(&c.Prefix, p.Prefix)
		setList(&c.Command, p.Command)
		setList(&c.Args, p.Args)
		if p.Env != nil {
			c.Env = maps.Clone(p.Env)
		}
		set(&c.EnvFile, p.EnvFile)
		set(&c.Health, p.Health)
		set(&c.ReadyTimeout, p.ReadyTimeout)
		set(&c.StopGrace, p.StopGrace)
		set(&c.Fallback, p.Fallback)
		set(&c.Preview, p.Preview)
		set(&c.Compat, p.Compat)
		set(&c.Navi, p.Navi)
		if p.External != nil {
			c.External = p.External.canonical()
		}
	}
	if c.Kind == KindJob && c.Preview == "" {
		c.Preview = PreviewHold
	}
	if c.Kind != KindJob && c.Health == "" {
		c.Health = HealthTCP
	}
	if len(c.Env) == 0 {
		c.Env = nil
	}
	if len(c.External) == 0 {
		c.External = nil
	} else if slices.ContainsFunc(patches, func(p ConfigPatch) bool { return p.Instances != nil }) {
		return c, Errorf(CodeInvalid, "%s: instances: abt2 does not start an external version, it has as many as external names; remove instances", name)
	}
	return c, c.check(name)
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func setList(dst *[]string, v []string) {
	if v != nil {
		*dst = slices.Clone(v)
	}
	if len(*dst) == 0 {
		*dst = nil
	}
}

// check promises that a Config which left DeriveConfig without an error can be run.
func (c Config) check(name ModuleName) error {
	bad := func(field string, value any, rule string) error {
		return Errorf(CodeInvalid, "%s: %s %q: %s", name, field, fmt.Sprint(value), rule)
	}
	switch c.Kind {
	case KindEdge:
		if err := checkPrefix(name, c.Prefix); err != nil {
			return err
		}
	case KindService, KindJob:
		if c.Prefix != "" {
			return bad("prefix", c.Prefix, "only a module of kind edge has a prefix; remove it or set kind: edge")
		}
	case "":
		return bad("kind", "", "must be edge, service or job; set it in module.yaml or with --kind")
	default:
		return bad("kind", c.Kind, "must be edge, service or job")
	}
	switch {
	case c.Health != "" && c.Health != HealthTCP && !isPath(c.Health):
		return bad("health", c.Health, "must be an HTTP path beginning with /, or tcp")
	case c.ReadyTimeout <= 0 || c.ReadyTimeout > Duration(time.Hour):
		return bad("ready_timeout", c.ReadyTimeout, "must be more than 0s and at most 1h")
	case c.StopGrace < 0 || c.StopGrace > Duration(time.Hour):
		return bad("stop_grace", c.StopGrace, "must be between 0s and 1h")
	case c.Fallback != FallbackNone && c.Fallback != FallbackOnline:
		return bad("fallback", c.Fallback, "must be none or online")
	case c.Kind != KindJob && c.Preview != "":
		return bad("preview", c.Preview, "only a module of kind job has it; remove it or set kind: job")
	case c.Kind == KindJob && c.Preview != PreviewHold && c.Preview != PreviewRun:
		return bad("preview", c.Preview, "must be hold or run")
	case c.Compat != "" && c.Kind != KindService:
		return bad("compat", c.Compat, "only a service has an unversioned name; remove it")
	case c.Navi != (ServiceName{}) && c.Kind != KindService:
		return bad("navi", c.Navi, "only a service is listed in a registry; remove it")
	}
	if word, rule := c.Navi.check(); rule != "" {
		return bad("navi", word, rule)
	}
	if c.Compat != "" {
		if err := c.Compat.Validate(); err != nil {
			return err
		}
	}
	if word, rule := c.External.check(); rule != "" {
		return bad("external", word, rule)
	}
	if len(c.External) > 0 {
		const notRun = "abt2 does not start an external version; remove it, or remove external and put a build"
		switch {
		case c.Kind == KindJob:
			return bad("external", c.External[0], "a job is not called, so there is nothing to route to; leave it out of abt2")
		case len(c.Command) > 0:
			return bad("command", show(c.Command), notRun)
		case len(c.Args) > 0:
			return bad("args", show(c.Args), notRun)
		case len(c.Env) > 0:
			return bad("env", show(c.Env), notRun)
		case c.EnvFile != "":
			return bad("env_file", c.EnvFile, notRun)
		}
	}
	if len(c.Command) > 0 && c.Command[0] == "" {
		return bad("command", "", "its first word names the program and must not be empty")
	}
	if strings.ContainsRune(strings.Join(append(append([]string{c.EnvFile}, c.Command...), c.Args...), " "), 0) {
		return Errorf(CodeInvalid, "%s: command, args and env_file must not contain a zero byte; remove it", name)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		switch {
		case k == "" || strings.ContainsFunc(k, func(r rune) bool { return r == '=' || unicode.IsControl(r) }):
			return bad("env", k, "a variable's name must not be empty nor contain = or control characters")
		case strings.HasPrefix(k, "ABT2_") || k == "PORT" || k == "HOST" || k == "JPAAS_HTTP_PORT" || k == "JPAAS_HOST":
			return bad("env", k, "abt2 sets this variable itself; choose another name")
		case strings.ContainsRune(c.Env[k], 0):
			return bad("env", k, "the value must not contain a zero byte")
		}
	}
	return nil
}

// isPath reports whether s can be asked for over HTTP.
func isPath(s string) bool {
	_, err := url.ParseRequestURI(s)
	return err == nil && strings.HasPrefix(s, "/") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func checkPrefix(name ModuleName, p string) error {
	rule := ""
	switch {
	case p == "":
		rule = "a module of kind edge needs one, like / or /api"
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p:
		rule = "must be a clean path beginning with / and not ending with it, like / or /api"
	case p == ReservedPrefix || strings.HasPrefix(p, ReservedPrefix+"/"):
		rule = ReservedPrefix + "/ belongs to abt2; choose another"
	case strings.ContainsFunc(p, func(r rune) bool { return !strings.ContainsRune(prefixRunes, r) }):
		rule = "may contain letters, digits and - . _ ~ / only"
	default:
		return nil
	}
	return Errorf(CodeInvalid, "%s: prefix %q: %s", name, p, rule)
}

const prefixRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"

// ReservedPrefix is the path under which an edge answers itself.
const ReservedPrefix = "/.abt2"

// ConnectedPath is where an edge of ours says whether it has its server: status
// 200, or 503, when a token that it does not know may be valid all the same.
const ConnectedPath = ReservedPrefix + "/connected"

// FieldChange is one field's difference between two configurations, for people.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// DiffConfig lists the fields in which two configurations differ, in the order of module.yaml.
func DiffConfig(a, b Config) []FieldChange {
	var out []FieldChange
	add := func(field string, from, to any) {
		if f, t := show(from), show(to); f != t {
			out = append(out, FieldChange{field, f, t})
		}
	}
	add("kind", a.Kind, b.Kind)
	add("prefix", a.Prefix, b.Prefix)
	add("command", a.Command, b.Command)
	add("args", a.Args, b.Args)
	add("env", a.Env, b.Env)
	add("env_file", a.EnvFile, b.EnvFile)
	add("health", a.Health, b.Health)
	add("ready_timeout", a.ReadyTimeout, b.ReadyTimeout)
	add("fallback", a.Fallback, b.Fallback)
	add("stop_grace", a.StopGrace, b.StopGrace)
	add("preview", a.Preview, b.Preview)
	add("compat", a.Compat, b.Compat)
	add("navi", shownName(a.Navi), shownName(b.Navi))
	add("external", []string(a.External), []string(b.External))
	return out
}

func shownName(n ServiceName) string {
	if n == (ServiceName{}) {
		return ""
	}
	return n.String()
}

func show(v any) string {
	switch v := v.(type) {
	case []string:
		if len(v) == 0 {
			return ""
		}
		return fmt.Sprintf("%q", v)
	case map[string]string:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+"="+v[k])
		}
		return strings.Join(parts, " ")
	default:
		return fmt.Sprint(v)
	}
}
