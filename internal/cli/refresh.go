package cli

import (
	"context"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) refreshCommand() *cobra.Command {
	var prune bool
	c := &cobra.Command{
		Use:   "refresh",
		Short: "Make what is what it should be",
		Long: `Prints the plan that makes reality match what should be, asks, and does it. It
works with or without a session, and never starts a rollback. What abt2 does not
know is left alone unless --prune is given.`,
		Example: `  abt2 refresh --op=lihua
  abt2 refresh --op=lihua --yes`,
		Args: none,
	}
	a.yesFlag(c)
	c.Flags().BoolVar(&prune, "prune", false, "also end what runs and abt2 does not know")
	fill := func(_ *cobra.Command, _ []string, r *abt2.VerbRequest) error {
		r.Prune = prune
		return nil
	}
	return a.verbCommand(c, abt2.VerbRefresh, fill, func(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) error {
		if !r.Yes && !r.DryRun {
			if todo, err := a.askRefresh(ctx, svc, r); err != nil || !todo {
				return err
			}
			r.Yes = true
		}
		return a.runVerb(ctx, svc, r)
	})
}

// askRefresh shows the plan and asks. Without anything to do it says so.
func (a *app) askRefresh(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) (todo bool, err error) {
	r.DryRun = true
	o, err := a.follow(ctx, svc, r)
	switch {
	case err != nil:
		return false, err
	case len(o.Steps) == 0:
		if a.json {
			a.out.json(o)
		} else {
			a.out.line("nothing to do: everything is as it should be")
			a.next("%s", o.Next)
		}
		return false, nil
	case a.json:
		for _, s := range o.Steps {
			a.err.line("%s", s)
		}
	default:
		a.steps(o)
	}
	return true, a.ask(ctx, count(len(o.Steps), "step")+" to make reality match")
}
