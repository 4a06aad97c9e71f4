package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) startCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "start",
		Short: "Tell whether a session may be started",
		Long: `A session may not be started while another one of the product is in progress, nor
while one is committed but not ended; then it says whom to ask. The exit status
is the answer: 0 yes, 10 in progress, 11 committed.

To open one: abt2 start create.`,
		Example: `  abt2 start
  abt2 start && abt2 start create --desp="sprint 44"`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			op, err := a.operator(cmd)
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			answer, err := svc.Start(cmd.Context(), product)
			if err != nil {
				return err
			}
			if a.json {
				a.out.json(answer)
			} else {
				a.out.line("%s", a.startText(answer, op))
			}
			switch s := answer.Session; {
			case answer.Free || s == nil:
				return nil
			case s.State == abt2.SessionCommitted:
				return answered{exitNotEnded}
			}
			return answered{exitInProgress}
		},
	}
	a.productFlag(c)
	a.opFlag(c)
	a.jsonFlag(c)
	c.AddCommand(a.startCreateCommand())
	return c
}

func (a *app) startText(answer abt2.StartAnswer, op string) string {
	s := answer.Session
	if answer.Free || s == nil {
		return "yes: no session is in progress; open one: abt2 start create --op=" + op
	}
	since := s.Changed
	if since.IsZero() {
		since = s.Created
	}
	what := fmt.Sprintf("%s, %s", s.Operator, a.out.age(since))
	if s.Description != "" {
		what += fmt.Sprintf(", %q", s.Description)
	}
	committed := s.State == abt2.SessionCommitted
	state := "in progress"
	if committed {
		state = "committed, not ended"
	}
	remedy := "It is yours, go on: abt2 status"
	switch {
	case committed && s.Operator == op:
		remedy = fmt.Sprintf("It is yours, end it: abt2 clean --op=%s", op)
	case committed:
		remedy = fmt.Sprintf("Ask %s, or: abt2 clean --op=%s --takeover", s.Operator, op)
	case s.Operator != op:
		remedy = fmt.Sprintf("Ask %s, or go on in it: add --takeover to a command", s.Operator)
	}
	return fmt.Sprintf("session %s is %s: %s. %s", s.ID, state, what, remedy)
}

func (a *app) startCreateCommand() *cobra.Command {
	var description string
	var force bool
	c := &cobra.Command{
		Use:   "create",
		Short: "Open a session",
		Long: `Opens a session on the product, which then belongs to you. It is refused while
another one is there, and while what runs is not what should run: then the
differences are listed (exit status 3), abt2 refresh mends them, and --force
opens the session nevertheless.`,
		Example: `  abt2 start create --op=lihua --desp="sprint 44"
  abt2 start create --op=lihua --force`,
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
			svc, err := a.service()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := svc.Create(ctx, abt2.CreateRequest{By: by, Product: product, Description: description, Force: force, DryRun: a.dryRun})
			if abt2.CodeOf(err) == abt2.CodeDifferences {
				if diffs, failed := svc.Validate(ctx, abt2.ValidateRequest{Product: product}); failed == nil {
					a.differences(diffs)
				}
			}
			switch {
			case err != nil:
				return err
			case a.json:
				a.out.json(s)
				return nil
			case a.dryRun:
				a.out.line("would open a session on %s", product)
			default:
				a.out.line("session %s is open on %s", s.ID, product)
			}
			a.next("abt2 config put --op=%s --name=MODULE --path=ARTIFACT", by.Operator)
			return nil
		},
	}
	a.changeFlags(c)
	c.Flags().StringVar(&description, "desp", "", "what the session is for, as `TEXT`")
	c.Flags().StringVar(&description, "desc", "", "the same as --desp")
	c.Flags().BoolVar(&force, "force", false, "open it although what runs is not what should run")
	return c
}

// next is the last line of every verb.
func (a *app) next(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != "" {
		a.out.line("%s %s", a.out.paint(faint, "next:"), text)
	}
}
