package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) scaleCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "scale MODULE=N...",
		Short: "Change how many instances run",
		Long: `Changes how many instances of each version of a module run, at once and for all
environments. It is recorded. To stop a module altogether: abt2 config remove.`,
		Example: `  abt2 scale web=4
  abt2 scale web=4 order=2 --op=lihua`,
	}
	fill := func(cmd *cobra.Command, args []string, r *abt2.VerbRequest) (err error) {
		r.Scale, err = scaleOf(cmd, args)
		return err
	}
	return a.verbCommand(c, abt2.VerbScale, fill, a.runVerb)
}

func scaleOf(cmd *cobra.Command, args []string) (map[abt2.ModuleName]int, error) {
	if len(args) == 0 {
		return nil, usage(cmd, "needs MODULE=N, like web=4")
	}
	out := map[abt2.ModuleName]int{}
	for _, arg := range args {
		name, num, ok := strings.Cut(arg, "=")
		n, err := strconv.Atoi(num)
		if !ok || err != nil || n < 1 || n > abt2.MaxScale {
			return nil, usage(cmd, "%q: must be MODULE=N with N from 1 to %d, like web=4; to stop a module: abt2 config remove", arg, abt2.MaxScale)
		}
		m := abt2.ModuleName(name)
		if err := m.Validate(); err != nil {
			return nil, err
		}
		if _, twice := out[m]; twice {
			return nil, usage(cmd, "%q: %s is given twice", arg, m)
		}
		out[m] = n
	}
	return out, nil
}
