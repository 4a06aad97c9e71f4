package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) edgeCommand() *cobra.Command {
	var takeover bool
	c := childCommand(&cobra.Command{
		Use:   "edge",
		Short: "Be the edge of a server",
		Long: `Is the gateway that users reach. The server starts it as a process of its own, which
outlives it; nobody else needs to.`,
		Example: `  abt2 edge --dir=/srv/abt2/edge`,
	}, func(ctx context.Context, dir string) error { return a.env.RunEdge(ctx, dir, takeover) })
	c.Flags().BoolVar(&takeover, "takeover", false, "take over the sockets of the edge that runs there")
	return c
}

func (a *app) shimCommand() *cobra.Command {
	return childCommand(&cobra.Command{
		Use:     "shim",
		Short:   "Keep one instance",
		Long:    `Keeps one instance running. The server starts it; nobody else needs to.`,
		Example: `  abt2 shim --dir=/srv/abt2/platform/order-3-17`,
	}, func(ctx context.Context, dir string) error { return a.env.RunShim(ctx, dir) })
}

// childCommand completes a command that the server starts. All that it is told
// is the folder in which the rest has been written down.
func childCommand(c *cobra.Command, run func(ctx context.Context, dir string) error) *cobra.Command {
	var dir string
	c.Hidden = true
	c.Args = none
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			return usage(cmd, "--dir %q: must not be empty", dir)
		}
		return run(cmd.Context(), dir)
	}
	c.Flags().StringVar(&dir, "dir", "", "the folder of what it is to be, `DIR`")
	return c
}
