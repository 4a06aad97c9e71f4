package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) logsCommand() *cobra.Command {
	var r abt2.LogsRequest
	c := &cobra.Command{
		Use:   "logs MODULE[@VERSION]",
		Short: "Show what instances printed",
		Long: `Shows what the instances of a module printed, ended ones included, each line after
the instance's id and a tab. Without a version it is the one online, else the one
in preview, else the last.`,
		Example: `  abt2 logs web
  abt2 logs order@3 --tail=50
  abt2 logs web -f`,
		Args: exactly(1, "one MODULE or MODULE@VERSION, like order or order@3"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Product, err = a.productName(); err != nil {
				return err
			}
			if strings.Contains(args[0], "@") {
				r.Version, err = abt2.ParseVersionID(args[0])
			} else {
				r.Version.Module = abt2.ModuleName(args[0])
				err = r.Version.Module.Validate()
			}
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if err := svc.Logs(ctx, r, a.out); err != nil && (ctx.Err() == nil || !r.Follow) {
				return err
			}
			return nil // Ctrl-C is how following ends
		},
	}
	a.productFlag(c)
	c.Flags().BoolVarP(&r.Follow, "follow", "f", false, "go on until Ctrl-C")
	c.Flags().IntVar(&r.Tail, "tail", -1, "only the last `N` lines of each instance; -1 for all")
	return c
}
