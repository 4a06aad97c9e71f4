package cli

import (
	"context"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) configCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "config",
		Short: "Say what the session is to release",
		Long: `Says what the open session is to release: put adds builds and their
configuration, drop takes back what was put, remove makes the next preview lack
a module. Nothing runs and no user notices until ship.`,
		Example: `  abt2 config put --op=lihua --name=web --path=./web.tar.gz
  abt2 config drop --op=lihua --name=web`,
	}, a.configPutCommand(), a.configDropCommand(), a.configRemoveCommand())
}

func (a *app) configDropCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "drop",
		Short: "Take back a put",
		Long: `Takes back what was put, or the removal of a module, so that the session leaves
the module as it is online. What is shipped must be unshipped first.`,
		Example: `  abt2 config drop --op=lihua --name=web
  abt2 config drop --op=lihua --name=web --name=order`,
	}
	return a.moduleChange(c, "the `MODULE` whose put is taken back; may be repeated", abt2.Service.Drop,
		"taken back: %s", "would take back: %s")
}

func (a *app) configRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove",
		Short: "Make the next preview lack a module",
		Long: `Makes the next preview lack a module. It disappears for users at commit, and its
instances are stopped at clean. abt2 config drop takes the removal back.`,
		Example: `  abt2 config remove --op=lihua --name=report`,
	}
	return a.moduleChange(c, "the `MODULE` to be removed; may be repeated", abt2.Service.Remove,
		"to be removed: %s", "would remove: %s")
}

// moduleChange completes a command that does one thing to named modules of the session.
func (a *app) moduleChange(c *cobra.Command, nameUsage string, change func(abt2.Service, context.Context, abt2.ModuleRequest) error, done, would string) *cobra.Command {
	var names []string
	c.Args = none
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(names) == 0 {
			return usage(cmd, "--name: must name a module")
		}
		r := abt2.ModuleRequest{DryRun: a.dryRun}
		for _, n := range names {
			m := abt2.ModuleName(n)
			if err := m.Validate(); err != nil {
				return err
			}
			r.Modules = append(r.Modules, m)
		}
		var err error
		if r.Product, err = a.productName(); err != nil {
			return err
		}
		if r.By, err = a.by(cmd); err != nil {
			return err
		}
		svc, err := a.service()
		if err != nil {
			return err
		}
		if err := change(svc, cmd.Context(), r); err != nil {
			return err
		}
		text := done
		if a.dryRun {
			text = would
		}
		if a.json {
			a.out.json(struct {
				Modules []abt2.ModuleName `json:"modules"`
				DryRun  bool              `json:"dry_run"`
			}{r.Modules, a.dryRun})
			return nil
		}
		a.out.line(text, joined(r.Modules))
		a.next("abt2 ship --op=%s", r.Operator)
		return nil
	}
	a.changeFlags(c)
	c.Flags().StringArrayVar(&names, "name", nil, nameUsage)
	return c
}
