package cli

import (
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) envCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "env",
		Short: "Look at environments",
		Long: `Looks at environments: immutable sets of versions, each with a number. Retired ones
can be seen, too.`,
		Example: `  abt2 env show 42
  abt2 env diff 42 43`,
	}, a.envShowCommand(), a.envDiffCommand())
}

func (a *app) envShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one environment",
		Long: `Shows which version of each module an environment names, what it is to its product
now (online, preview, backup or retired), and how to reach it.`,
		Example: `  abt2 env show 42`,
		Args:    exactly(1, "the ID of an environment, like 42"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := environmentID(cmd, args[0])
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			e, err := svc.Environment(cmd.Context(), id)
			if err != nil {
				return err
			}
			if a.json {
				a.out.json(e)
				return nil
			}
			if a.out.terminal {
				a.out.line("environment %s of %s is %s", a.out.paint(loud, e.ID.String()), e.Product, e.Role)
			}
			var rows [][]cell
			for _, m := range slices.Sorted(maps.Keys(e.Modules)) {
				rows = append(rows, []cell{word(string(m)), word(e.Modules[m].String())})
			}
			a.out.table("", []string{"module", "version"}, rows)
			if a.out.terminal {
				a.door(e)
			}
			return nil
		},
	}
	a.jsonFlag(c)
	return c
}

// door tells how one gets into an environment.
func (a *app) door(e abt2.EnvironmentStatus) {
	if e.Cookie != "" {
		a.out.line("cookie: %s", e.Cookie)
	}
	if e.Link != "" {
		a.out.line("link: %s", e.Link)
	}
}

func (a *app) envDiffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two environments",
		Long: `Lists the modules whose version differs between two environments. The exit status is
0 either way.`,
		Example: `  abt2 env diff 42 43`,
		Args:    exactly(2, "the IDs of two environments, like 42 43"),
		RunE: func(cmd *cobra.Command, args []string) error {
			svc, err := a.service()
			if err != nil {
				return err
			}
			var envs [2]*abt2.Environment
			for i, arg := range args {
				id, err := environmentID(cmd, arg)
				if err != nil {
					return err
				}
				e, err := svc.Environment(cmd.Context(), id)
				if err != nil {
					return err
				}
				envs[i] = &abt2.Environment{ID: e.ID, Product: e.Product, Modules: e.Modules}
			}
			changes := abt2.Diff(envs[0], envs[1])
			switch {
			case a.json:
				a.out.json(list(changes))
				return nil
			case len(changes) == 0:
				a.err.line("no difference")
			}
			var rows [][]cell
			for _, c := range changes {
				rows = append(rows, []cell{word(string(c.Module)), versionCell(c.From, "new"), versionCell(c.To, "removed")})
			}
			a.out.table("", []string{"module", args[0], args[1]}, rows)
			return nil
		},
	}
	a.jsonFlag(c)
	return c
}

func environmentID(cmd *cobra.Command, s string) (abt2.EnvironmentID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, usage(cmd, "environment %q: must be a number, like 42; abt2 history lists them", s)
	}
	return abt2.EnvironmentID(n), nil
}
