package cli

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// verbCommand completes a command that runs a verb. fill completes the request
// from what is left of the command line.
func (a *app) verbCommand(c *cobra.Command, verb abt2.Verb, fill func(cmd *cobra.Command, args []string, r *abt2.VerbRequest) error, run func(context.Context, abt2.Service, abt2.VerbRequest) error) *cobra.Command {
	var timeouts abt2.VerbRequest
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r := timeouts
		r.Verb, r.DryRun, r.Yes = verb, a.dryRun, a.yes
		var err error
		if r.Product, err = a.productName(); err != nil {
			return err
		}
		if r.By, err = a.by(cmd); err != nil {
			return err
		}
		if fill != nil {
			if err := fill(cmd, args, &r); err != nil {
				return err
			}
		}
		svc, err := a.service()
		if err != nil {
			return err
		}
		return run(cmd.Context(), svc, r)
	}
	a.changeFlags(c)
	f := c.Flags()
	f.DurationVar(&timeouts.AckTimeout, "ack-timeout", 0, "how long to wait for confirmations before anything changes (default 10s)")
	if verb == abt2.VerbCommit {
		f.BoolVar(&timeouts.Force, "force", false, "switch although routers have not confirmed that they know the preview; what they route is answered 503 until they do")
	}
	if verb == abt2.VerbRollback {
		f.BoolVar(&timeouts.NoHooks, "no-hooks", false, "do not ask the hooks before it, those being asked included; those after it are told")
	}
	switch verb {
	case abt2.VerbCommit, abt2.VerbRollback:
		f.DurationVar(&timeouts.SettleTimeout, "settle-timeout", 0, "how long to wait for names and jobs to follow (default 30s)")
	case abt2.VerbShip, abt2.VerbUnship, abt2.VerbClean, abt2.VerbRefresh, abt2.VerbUnpark:
		f.DurationVar(&timeouts.DrainTimeout, "drain-timeout", 0, "how long to wait for requests on their way through what is taken down (default 30s)")
	}
	return c
}

// runVerb runs a verb, shows its progress, and tells how it ended.
func (a *app) runVerb(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) error {
	o, err := a.follow(ctx, svc, r)
	if err != nil && !tells(o) {
		return err
	}
	if a.json {
		a.out.json(o)
	} else {
		a.outcome(r, o)
	}
	if err != nil {
		return err
	}
	switched := (r.Verb == abt2.VerbCommit || r.Verb == abt2.VerbRollback) && !r.DryRun
	switch {
	case len(o.Failed) > 0:
		return answered{exitFailed}
	case switched && len(o.Unconfirmed)+len(o.Warnings) > 0:
		return answered{exitCommitted}
	}
	return nil
}

// tells reports whether an outcome that came with an error says anything beside
// what the error says.
func tells(o abt2.Outcome) bool {
	o.Verb, o.Next, o.Unconfirmed = "", "", nil
	return !reflect.ValueOf(o).IsZero()
}

// follow runs a verb until it ends or the person leaves it alone.
func (a *app) follow(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) (abt2.Outcome, error) {
	o, err := svc.Run(ctx, r, a.progress)
	if err == nil || ctx.Err() == nil {
		return o, err
	}
	if !r.DryRun {
		a.err.line("left: %s goes on in the server. To attach again, repeat: abt2 %s", r.Verb, strings.Join(a.env.Args, " "))
	}
	return abt2.Outcome{}, answered{exitDetached}
}

// progress is a line for people, beside the answer.
func (a *app) progress(p abt2.Progress) {
	text := tame(p.Text)
	if text == "" {
		text = p.Step
		if p.Total > 0 {
			text += fmt.Sprintf(" (%d/%d)", p.Done, p.Total)
		}
	}
	t := plain
	switch p.Step {
	case "healthy", "confirmed", "done":
		t = good
	case "failed":
		t = bad
	}
	if p.Module != "" && !strings.HasPrefix(text, string(p.Module)+"@") { // a version names its module
		a.err.line("%s: %s", a.err.paint(loud, string(p.Module)), a.err.paint(t, text))
		return
	}
	a.err.line("%s", a.err.paint(t, text))
}

// outcome tells how a verb ended.
func (a *app) outcome(r abt2.VerbRequest, o abt2.Outcome) {
	if r.DryRun {
		a.steps(o)
		return
	}
	for _, f := range o.Failed {
		a.out.line("%s %s: %s", f.Version, a.out.paint(bad, "failed"), tame(f.Reason))
		for _, l := range f.Log {
			a.out.line("  | %s", tame(l))
		}
	}
	if text := a.ended(r, o); text != "" {
		a.out.line("%s", text)
	}
	if o.Cookie != "" {
		a.out.line("cookie: %s", o.Cookie)
	}
	if o.Link != "" {
		a.out.line("link: %s", o.Link)
	}
	if len(o.Unconfirmed) > 0 {
		a.err.line("%s %s", a.err.paint(wary, "not yet confirmed:"), strings.Join(o.Unconfirmed, ", "))
	}
	for _, w := range o.Warnings {
		a.err.line("%s %s", a.err.paint(wary, "warning:"), w)
	}
	a.next("%s", o.Next)
}

// ended is one line on how a verb ended.
func (a *app) ended(r abt2.VerbRequest, o abt2.Outcome) string {
	switch r.Verb {
	case abt2.VerbCommit, abt2.VerbRollback:
		switch {
		case o.Share != 0 && o.Same:
			return fmt.Sprintf("%s of the visitors are served from environment %s already", o.Share, o.To)
		case o.Share != 0:
			return fmt.Sprintf("%s of the visitors are served from environment %s, all others from %s, %s", o.Share, o.To, o.From, confirmedText(o))
		case o.Same:
			return fmt.Sprintf("environment %s is online already", o.To)
		}
		return switchText(o)
	case abt2.VerbShip, abt2.VerbUnship:
		switch {
		case o.To == 0:
			return "nothing is shipped"
		case o.Same:
			return fmt.Sprintf("environment %s is in preview already", o.To)
		}
		return fmt.Sprintf("environment %s is in preview", o.To)
	case abt2.VerbClean:
		if o.Same {
			return "no session is there; nothing to clean"
		}
		return "the session is ended"
	case abt2.VerbPark:
		switch {
		case o.Same:
			return "the session is parked already"
		case o.To == 0:
			return "the session is parked"
		}
		return fmt.Sprintf("the session is parked; environment %s stays up", o.To)
	case abt2.VerbUnpark:
		switch {
		case o.Same:
			return "the session is open already"
		case o.To == 0:
			return "the session is open; nothing is shipped"
		}
		return fmt.Sprintf("the session is open; environment %s is in preview", o.To)
	}
	if o.Same {
		return "nothing to do"
	}
	return "done"
}

// confirmedText is who confirmed a switch, and within which time.
func confirmedText(o abt2.Outcome) string {
	var who []string
	if o.Edges > 0 {
		who = append(who, count(o.Edges, "edge"))
	}
	if o.Routers > 0 {
		who = append(who, count(o.Routers, "router"))
	}
	text := "in " + took(o.Switched)
	if len(who) > 0 {
		text += ": " + strings.Join(who, ", ") + " confirmed"
	}
	return text
}

func switchText(o abt2.Outcome) string {
	text := fmt.Sprintf("switched %s → %s %s", o.From, o.To, confirmedText(o))
	if o.Settled > 0 {
		text += "\nsettled in " + took(o.Settled)
	}
	return text
}

// steps tells what a verb would do.
func (a *app) steps(o abt2.Outcome) {
	for _, s := range o.Steps {
		a.out.line("%s", s)
	}
	if len(o.Steps) == 0 {
		a.err.line("nothing to do")
	}
}
