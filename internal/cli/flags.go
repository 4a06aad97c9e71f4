package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// The flags that many commands share. Each has one spelling and one meaning.

func (a *app) productFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.product, "product", string(abt2.DefaultProduct), "the `PRODUCT` it is about")
}

func (a *app) jsonFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
}

// opFlag is for commands that say who asks.
func (a *app) opFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.op, "op", "", "who you are: your `NAME` (default: ABT2_OP, else the system's user name)")
}

// changeFlags are for commands that change something in a product.
func (a *app) changeFlags(c *cobra.Command) {
	a.productFlag(c)
	a.opFlag(c)
	a.jsonFlag(c)
	c.Flags().BoolVar(&a.takeover, "takeover", false, "become the owner of another operator's session; this is recorded")
	a.dryRunFlag(c)
}

func (a *app) dryRunFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.dryRun, "dry-run", false, "tell what would be done, change nothing")
}

func (a *app) yesFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.yes, "yes", false, "do not ask")
}

// by says who asks.
func (a *app) by(c *cobra.Command) (abt2.By, error) {
	op, err := a.operator(c)
	return abt2.By{Operator: op, Takeover: a.takeover}, err
}

func (a *app) operator(c *cobra.Command) (string, error) {
	if c.Flags().Changed("op") {
		if strings.TrimSpace(a.op) == "" {
			return "", abt2.Errorf(abt2.CodeInvalid, "--op %q: must not be empty; say who you are: --op=NAME", a.op)
		}
		return a.op, nil
	}
	if op := a.env.Getenv("ABT2_OP"); op != "" {
		return op, nil
	}
	op, err := a.env.UserName()
	if err != nil || op == "" {
		return "", abt2.Wrap(abt2.CodeInvalid, err, "--op: the system does not tell your name; say who you are: --op=NAME, or set ABT2_OP")
	}
	return op, nil
}

func (a *app) productName() (abt2.ProductName, error) {
	p := abt2.ProductName(a.product)
	return p, p.Validate()
}

// moduleNames checks names of modules from the command line. The word all,
// alone, stands for none: the service takes that for all.
func moduleNames(cmd *cobra.Command, words []string) ([]abt2.ModuleName, error) {
	if len(words) == 1 && words[0] == "all" {
		return nil, nil
	}
	var out []abt2.ModuleName
	for _, w := range words {
		if w == "all" {
			return nil, usage(cmd, `module name "all": stands alone; name all, or modules`)
		}
		m := abt2.ModuleName(w)
		if err := m.Validate(); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// none and exactly check what is left of the command line beside the flags.

func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, "%q: takes no arguments", args[0])
	}
	return nil
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(cmd, "needs %s", what)
		}
		return nil
	}
}
