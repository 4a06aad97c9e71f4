package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"abt2.dev"
)

// patchFlags are the flags for the fields of module.yaml.
type patchFlags struct {
	kind, prefix, envFile, health, fallback, preview, compat string
	command, args, env, external                             []string
	readyTimeout, stopGrace                                  time.Duration
	instances                                                int
}

// patchNames are the flags' names, in the order of module.yaml.
var patchNames = []string{
	"kind", "prefix", "command", "arg", "env", "env-file", "health", "ready-timeout", "instances", "fallback", "stop-grace", "preview", "compat", "external",
}

func (p *patchFlags) define(f *pflag.FlagSet) {
	f.StringVar(&p.kind, "kind", "", "edge, service or job: `KIND`")
	f.StringVar(&p.prefix, "prefix", "", "the `PATH` under which an edge module is reached")
	f.StringArrayVar(&p.command, "command", nil, "a `WORD` of the command; repeat it for more, empty for none")
	f.StringArrayVar(&p.args, "arg", nil, "a `WORD` of the arguments; repeat it for more, empty for none")
	f.StringArrayVar(&p.env, "env", nil, "an environment variable `K=V`; repeat it for more, empty for none")
	f.StringVar(&p.envFile, "env-file", "", "a file of secret variables on the server's machine, at `PATH`")
	f.StringVar(&p.health, "health", "", "an HTTP path, or tcp: `CHECK`")
	f.DurationVar(&p.readyTimeout, "ready-timeout", 0, "how long it may take to become healthy, like 60s")
	f.IntVar(&p.instances, "instances", 0, "how many run at first: `N`")
	f.StringVar(&p.fallback, "fallback", "", "none or online: what a preview does without healthy instances, as `MODE`")
	f.DurationVar(&p.stopGrace, "stop-grace", 0, "how long an instance may take to end, like 10s")
	f.StringVar(&p.preview, "preview", "", "hold or run: what a job does in a preview, as `MODE`")
	f.StringVar(&p.compat, "compat", "", "the `PRODUCT` whose online version stands at the unversioned name")
	f.StringArrayVar(&p.external, "external", nil, "where the version answers, if abt2 is not to run it: `HOST:PORT`, repeated for more, or dns:NAME, or registry: who stands at its unversioned name in ZooKeeper; empty for none")
}

func (p *patchFlags) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc(patchNames, cmd.Flags().Changed)
}

// read returns the fields that were given. What they may be, the service says.
func (p *patchFlags) read(cmd *cobra.Command) (abt2.ConfigPatch, error) {
	var out abt2.ConfigPatch
	changed := cmd.Flags().Changed
	if changed("kind") {
		out.Kind = ptr(abt2.Kind(p.kind))
	}
	if changed("prefix") {
		out.Prefix = &p.prefix
	}
	if changed("command") {
		out.Command = wordsOf(p.command)
	}
	if changed("arg") {
		out.Args = wordsOf(p.args)
	}
	if changed("env") {
		out.Env = map[string]string{}
		for _, kv := range wordsOf(p.env) {
			k, v, ok := strings.Cut(kv, "=")
			if !ok || k == "" {
				return out, usage(cmd, "--env %q: must be NAME=VALUE", kv)
			}
			if _, twice := out.Env[k]; twice {
				return out, usage(cmd, "--env %q: %s is given twice", kv, k)
			}
			out.Env[k] = v
		}
	}
	if changed("env-file") {
		out.EnvFile = &p.envFile
		if p.envFile != "" {
			path, err := absolute(p.envFile) // read later, by somebody with another working directory
			if err != nil {
				return out, err
			}
			out.EnvFile = &path
		}
	}
	if changed("health") {
		out.Health = &p.health
	}
	if changed("ready-timeout") {
		out.ReadyTimeout = ptr(abt2.Duration(p.readyTimeout))
	}
	if changed("instances") {
		out.Instances = &p.instances
	}
	if changed("fallback") {
		out.Fallback = ptr(abt2.Fallback(p.fallback))
	}
	if changed("stop-grace") {
		out.StopGrace = ptr(abt2.Duration(p.stopGrace))
	}
	if changed("preview") {
		out.Preview = ptr(abt2.PreviewMode(p.preview))
	}
	if changed("compat") {
		out.Compat = ptr(abt2.ProductName(p.compat))
	}
	if changed("external") {
		out.External = wordsOf(p.external)
	}
	return out, nil
}

// wordsOf is a repeated flag; given once and empty it is the empty list.
func wordsOf(words []string) []string {
	if len(words) == 1 && words[0] == "" {
		return []string{}
	}
	return words
}

func ptr[T any](v T) *T { return &v }
