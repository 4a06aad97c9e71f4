package cli

import (
	"time"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) productCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:     "product",
		Short:   "Set what holds for a product from one release to the next",
		Long:    `Settings of a product stay from one release to the next. status shows them.`,
		Example: `  abt2 product set --skew=10m --op=lihua`,
	}, a.productSetCommand())
}

func (a *app) productSetCommand() *cobra.Command {
	var skew time.Duration
	c := &cobra.Command{
		Use:   "set",
		Short: "Set skew protection",
		Long: `With --skew what a page asks for (scripts, styles, calls) goes to the environment
that the page came from, although users have been moved since: for that long after
the page was loaded, at most until the environment is taken down by clean, and not
after a rollback has led away from it. Pages themselves come from what is online.
The edge gives browsers a signed cookie for it, with every page.

It needs edges that can do it; others refuse, and status says so.`,
		Example: `  abt2 product set --skew=10m --op=lihua
  abt2 product set --skew=0 --op=lihua`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			by, err := a.by(cmd)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("skew") {
				return usage(cmd, "needs --skew=DURATION, like 10m, or --skew=0")
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			keep := abt2.Duration(skew)
			if err := svc.SetProduct(cmd.Context(), abt2.ProductRequest{By: by, Product: product, Skew: &keep, DryRun: a.dryRun}); err != nil {
				return err
			}
			if a.json {
				a.out.json(struct {
					Product abt2.ProductName `json:"product"`
					Skew    abt2.Duration    `json:"skew"`
				}{product, keep})
				return nil
			}
			text := string(product) + ": skew protection is "
			if a.dryRun {
				text = string(product) + ": skew protection would be "
			}
			if keep == 0 {
				a.out.line("%soff", text)
				return nil
			}
			a.out.line("%son, for %s after a page was loaded", text, keep)
			return nil
		},
	}
	a.productFlag(c)
	a.opFlag(c)
	a.jsonFlag(c)
	a.dryRunFlag(c)
	c.Flags().DurationVar(&skew, "skew", 0, "how long after a page was loaded, 1s to 1h; 0: no skew protection")
	return c
}
