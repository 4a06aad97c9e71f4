package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) downCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop everything on this machine",
		Long: `Stops the server of a data folder, its edge and all its instances, also when the
server is not running any more. Users are cut off. What was released stays known:
abt2 server brings it back. Asks on a terminal; elsewhere --yes is needed.`,
		Example: `  abt2 down
  abt2 down --data=/srv/abt2 --dry-run
  abt2 down --data=/srv/abt2 --yes`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.folderOf(data)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if !a.dryRun {
				if err := a.ask(ctx, "server, edge and all instances of "+dir+" are stopped: users are cut off"); err != nil {
					return err
				}
			}
			ended, err := a.env.RunDown(ctx, dir, a.dryRun)
			if a.json {
				a.out.json(struct {
					Ended []string `json:"ended"`
				}{list(ended)})
				return err
			}
			for _, e := range ended {
				if a.dryRun {
					a.out.line("would stop %s", e)
					continue
				}
				a.out.line("%s", e)
			}
			if err == nil && len(ended) == 0 {
				a.err.line("nothing was running on %s", dir)
			}
			return err
		},
	}
	a.dataFlag(c, &data)
	a.yesFlag(c)
	a.dryRunFlag(c)
	a.jsonFlag(c)
	return c
}
