package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) routerCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "router",
		Short: "Look after what routes requests",
		Long: `Routers resolve environments to instances: the edge, and every process with the SDK.
A switch waits until all of them know its target. One whose stream has broken is
waited for, too, because it may still be routing; if it is gone for good, forget
it.`,
		Example: `  abt2 router list
  abt2 router forget order-3-17 --op=lihua`,
	}, a.routerListCommand(), a.routerForgetCommand())
}

func (a *app) routerListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the routers and what they have confirmed",
		Long: `Lists every router that is known: its role, its version, whether it is connected,
the revision of the table that it has confirmed, and what it saw go wrong.`,
		Example: `  abt2 router list
  abt2 router list --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			s, err := svc.Status(cmd.Context(), product)
			switch {
			case err != nil:
				return err
			case a.json:
				a.out.json(list(s.Routers))
				return nil
			}
			var rows [][]cell
			for _, r := range s.Routers {
				connected := word("connected")
				if !r.Connected {
					connected = cell{text: "not connected", tone: loud}
				}
				rows = append(rows, []cell{
					word(r.ID), word(r.Role), word(r.Version.String()), connected, word(strconv.FormatUint(r.Applied.Revision, 10)),
					word(strconv.FormatUint(r.Mixed, 10)), word(strconv.FormatUint(r.Restamped, 10)),
				})
			}
			a.out.table("", []string{"router", "role", "version", "state", "revision", "mixed", "restamped"}, rows)
			return nil
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	return c
}

func (a *app) routerForgetCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "forget ROUTER",
		Short: "Forget a router that will not come back",
		Long: `Removes the record of a router, so that no switch waits for it. One that is
connected is refused. A router that comes back all the same is known again.`,
		Example: `  abt2 router forget order-3-17 --op=lihua`,
		Args:    exactly(1, "the ID of a router, like order-3-17"),
		RunE: func(cmd *cobra.Command, args []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			by, err := a.by(cmd)
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			if err := svc.Forget(cmd.Context(), abt2.ForgetRequest{By: by, Product: product, Router: args[0], DryRun: a.dryRun}); err != nil {
				return err
			}
			done := "router " + args[0] + " is forgotten"
			if a.dryRun {
				done = "router " + args[0] + " would be forgotten"
			}
			if a.json {
				a.out.json(struct {
					Router string `json:"router"`
				}{args[0]})
				return nil
			}
			a.out.line("%s", done)
			return nil
		},
	}
	a.changeFlags(c)
	return c
}
