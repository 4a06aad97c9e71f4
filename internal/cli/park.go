package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) parkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "park",
		Short: "Set the open session aside for an urgent fix",
		Long: `Sets the open session aside, so that another one can be opened, shipped and
committed: an urgent fix, for instance. Its preview stays up, under the same
cookie. abt2 unpark goes on with it.`,
		Example: `  abt2 park --op=lihua
  abt2 start create --op=wang --desp="urgent fix"`,
		Args: none,
	}
	return a.verbCommand(c, abt2.VerbPark, nil, a.runVerb)
}

func (a *app) unparkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unpark",
		Short: "Go on with a session that was set aside",
		Long: `Opens a parked session again, on what is online by now. Its preview gets what was
released meanwhile, under the same cookie. A module that both have changed is
named, taken out of the preview, and must be shipped again. Another session must
be ended, or parked, first.`,
		Example: `  abt2 unpark --op=lihua
  abt2 unpark --session=12 --op=lihua
  abt2 unpark --op=wang --takeover --dry-run`,
		Args: none,
	}
	var session string
	c.Flags().StringVar(&session, "session", "", "which of several parked sessions; abt2 status lists them")
	fill := func(cmd *cobra.Command, _ []string, r *abt2.VerbRequest) error {
		if session == "" && !cmd.Flags().Changed("session") {
			return nil
		}
		id, err := strconv.ParseUint(session, 10, 64)
		if err != nil || id == 0 {
			return usage(cmd, "--session %q: must be the number of a session, as abt2 status shows it", session)
		}
		r.Session = abt2.SessionID(id)
		return nil
	}
	return a.verbCommand(c, abt2.VerbUnpark, fill, a.runVerb)
}
