package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// EdgeOptions is how an edge begins.
type EdgeOptions struct {
	Takeover bool // take the place of the edge that runs on the folder, if one does
	Wait     bool // for a server to prepare the folder, if none has
}

func (a *app) edgeCommand() *cobra.Command {
	var o EdgeOptions
	c := childCommand(&cobra.Command{
		Use:   "edge",
		Short: "Be the edge of a server",
		Long: `Is the gateway that users reach. The server starts it as a process of its own, which
outlives it; under abt2 server --edge-start=false that is somebody else's to do.

It listens on the one socket that it is passed as sd_listen_fds(3) describes, else
where the server has written.`,
		Example: `  abt2 edge --dir=/srv/abt2/edge`,
	}, func(ctx context.Context, dir string) error { return a.env.RunEdge(ctx, dir, o) })
	c.Flags().BoolVar(&o.Takeover, "takeover", false, "take over the sockets of the edge that runs there")
	c.Flags().BoolVar(&o.Wait, "wait", false, "wait until a server has prepared the folder")
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
