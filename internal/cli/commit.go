package cli

import (
	"context"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) commitCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "commit",
		Short: "Move every user to the preview",
		Long: `Makes the session's preview the environment that users are served from, in one
step. It is refused while something was put but is not shipped, was put again
since, or failed, and while a hook does not agree. The environment before stays up
as the backup, behind a cookie, until clean; rollback goes back to it.

Until the switch nothing has changed (exit status 6 if it is not confirmed);
after it the command waits for names and jobs to follow (8 if they do not yet).

With --share only that part of the visitors is sent to the preview, chosen by a
cookie that the edge gives to each, and stays there when the share grows. Jobs and
unversioned names stay where they are. Commit without it then moves everybody;
rollback, and any ship or unship that makes another preview, ends the share.`,
		Example: `  abt2 commit --op=lihua
  abt2 commit --op=lihua --share=5%
  abt2 commit --op=lihua --settle-timeout=2m`,
		Args: none,
	}
	var share string
	c.Flags().StringVar(&share, "share", "", "move this `SHARE` of the visitors only, like 5% or 0.5%")
	return a.verbCommand(c, abt2.VerbCommit, func(cmd *cobra.Command, _ []string, r *abt2.VerbRequest) (err error) {
		if cmd.Flags().Changed("share") {
			if r.Share, err = abt2.ParseShare(share); err != nil {
				return usage(cmd, "--%v; everybody: leave it out", err)
			}
		}
		return nil
	}, a.runVerb)
}

func (a *app) rollbackCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback",
		Short: "Move every user back",
		Long: `Makes the environment before the last commit online again, exactly as it was, in
one step. The session is open again and its preview still up: mend, ship, commit.
Rollback cancels a commit that is still at work, and ends a share of the visitors
(commit --share). Rollback of the very first release goes back to nothing at all,
and asks.

Hooks set before rollback are asked first. Should one hang or be wrong, repeat the
command with --no-hooks; history tells.`,
		Example: `  abt2 rollback --op=lihua`,
		Args:    none,
	}
	a.yesFlag(c)
	return a.verbCommand(c, abt2.VerbRollback, nil, func(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) error {
		err := a.runVerb(ctx, svc, r)
		if abt2.CodeOf(err) != abt2.CodeConfirm || r.Yes || !a.canAsk() {
			return err
		}
		if err := a.ask(ctx, err.Error()); err != nil {
			return err
		}
		r.Yes = true
		return a.runVerb(ctx, svc, r)
	})
}

func (a *app) cleanCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "clean",
		Short: "End the session",
		Long: `Ends the session. Of a committed one the backup is taken down: there is no
rollback after this. An open one is abandoned: its preview is taken down, and
users notice nothing. Asks on a terminal; elsewhere --yes is needed.`,
		Example: `  abt2 clean --op=lihua
  abt2 clean --op=lihua --yes`,
		Args: none,
	}
	a.yesFlag(c)
	return a.verbCommand(c, abt2.VerbClean, nil, func(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) error {
		if !r.Yes && !r.DryRun {
			if err := a.askClean(ctx, svc, r); err != nil {
				return err
			}
			r.Yes = true
		}
		return a.runVerb(ctx, svc, r)
	})
}

// askClean asks, unless there is nothing to lose, clean is at work already, or
// the service will refuse it anyway.
func (a *app) askClean(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) error {
	s, err := svc.Status(ctx, r.Product)
	switch {
	case err != nil:
		return err
	case s.Session == nil, s.Running != nil && s.Running.Verb == abt2.VerbClean, s.Session.Operator != r.Operator && !r.Takeover:
		return nil
	case s.Session.State == abt2.SessionCommitted:
		return a.ask(ctx, "session "+s.Session.ID.String()+" of "+s.Session.Operator+" is committed: clean takes its backup down, and there is no rollback after this")
	}
	if s.Session.Share != 0 {
		return a.ask(ctx, "session "+s.Session.ID.String()+" of "+s.Session.Operator+" is open, and "+s.Session.Share.String()+" of the visitors are served from its preview: clean sends them back, abandons it and takes its preview down")
	}
	return a.ask(ctx, "session "+s.Session.ID.String()+" of "+s.Session.Operator+" is open: clean abandons it and takes its preview down")
}
