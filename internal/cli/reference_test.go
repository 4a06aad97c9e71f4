package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"abt2.dev/internal/cli"
)

func tree(t *testing.T) *cobra.Command {
	t.Helper()
	return cli.Tree(cli.Env{IsTerminal: func(any) bool { return false }, Getenv: func(string) string { return "" }})
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

// Every help text has a summary of one line, a paragraph and examples.
func TestHelpIsComplete(t *testing.T) {
	n := 0
	walk(tree(t), func(c *cobra.Command) {
		n++
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 70 || strings.Contains(c.Short, "\n") {
			t.Errorf("%s: summary %q: must be one line without a full stop", path, c.Short)
		}
		if !strings.HasSuffix(strings.SplitN(c.Long, "\n\n", 2)[0], ".") {
			t.Errorf("%s: %q: must begin with a paragraph", path, c.Long)
		}
		if !strings.HasPrefix(c.Example, "  abt2") && !strings.HasPrefix(c.Example, "  source") {
			t.Errorf("%s: example %q: must show a command", path, c.Example)
		}
		for _, line := range strings.Split(c.Long, "\n") {
			if len([]rune(line)) > 84 {
				t.Errorf("%s: this line is too long for a terminal: %s", path, line)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s: is not explained", path, f.Name)
			}
		})
	})
	if n < 25 {
		t.Errorf("only %d commands were seen", n)
	}
}

// What changes something in a product can be tried, and can be taken over.
func TestChangingCommandsHaveTheirFlags(t *testing.T) {
	changing := []string{
		"start create", "config put", "config drop", "config remove", "ship", "unship", "commit", "rollback", "clean", "refresh", "scale", "router forget", "park", "unpark",
		"instance start", "instance stop", "instance restart", "instance scale",
	}
	// Modules, groups and settings are part of no session, so there is none to take over.
	naming := []string{"module create", "module delete", "product set", "name group create", "name group add", "name group remove", "name group delete"}
	walk(tree(t), func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "abt2 ")
		for _, flag := range []string{"op", "dry-run", "json", "product"} {
			if slices.Contains(naming, path) && c.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", path, flag)
			}
		}
		for _, flag := range []string{"op", "takeover", "dry-run", "json", "product"} {
			if slices.Contains(changing, path) && c.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", path, flag)
			}
		}
		changes := slices.Contains(changing, path) || slices.Contains(naming, path) || path == "down" || path == "install-systemd" || path == "module upload" // which are about a machine, not a product
		if dry := c.Flags().Lookup("dry-run") != nil; dry != changes {
			t.Errorf("%s has --dry-run: %v", path, dry)
		}
	})
}

// docs/cli.md is what the commands say of themselves. go generate writes it.
func TestReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/cli.md"
	got := reference(tree(t))
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is not current; go generate ./internal/cli writes it (-file +commands):\n%s", path, d)
	}
}

func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Command line\n\nGenerated from the commands by `go generate ./internal/cli`; change it there.\n")
	walk(root, func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		level := strings.Repeat("#", 1+len(strings.Fields(c.CommandPath())))
		fmt.Fprintf(&b, "\n%s %s\n\n%s.\n\n%s\n", min(level, "####"), c.CommandPath(), c.Short, markdown(c.Long))
		fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.TrimSpace(c.UseLine()))
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
		if flags := c.NonInheritedFlags(); flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n| flag | meaning |\n|---|---|\n")
			flags.VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" {
					fmt.Fprintf(&b, "| %s | %s |\n", flagName(f), flagMeaning(f))
				}
			})
		}
	})
	return b.Bytes()
}

// markdown keeps the indented parts of a text as they are.
func markdown(long string) string {
	var out []string
	for _, part := range strings.Split(long, "\n\n") {
		head, body, found := strings.Cut(part, "\n  ")
		switch {
		case strings.HasPrefix(part, "  "):
			part = "```\n" + strings.ReplaceAll(strings.TrimPrefix(part, "  "), "\n  ", "\n") + "\n```"
		case found:
			part = head + "\n\n```\n" + strings.ReplaceAll(body, "\n  ", "\n") + "\n```"
		}
		out = append(out, part)
	}
	return strings.Join(out, "\n\n")
}

func flagName(f *pflag.Flag) string {
	name := "`--" + f.Name
	if f.Shorthand != "" {
		name = "`-" + f.Shorthand + "`, " + name
	}
	if value, _ := pflag.UnquoteUsage(f); value != "" {
		name += "=" + value
	}
	return name + "`"
}

func flagMeaning(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
	default:
		usage += " (default `" + f.DefValue + "`)"
	}
	return strings.ReplaceAll(usage, "|", `\|`)
}
