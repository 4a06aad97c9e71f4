package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) shipCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ship [all | MODULE...]",
		Short: "Start the new versions beside the running ones",
		Long: `Starts the new versions beside the running ones, waits until they are healthy, and
builds the preview environment of them, which a cookie selects. No user traffic
moves. A version that does not become healthy within its ready_timeout fails: its
last log lines are shown, its instances are stopped, the others stay shipped.

Without modules it lists exactly what commit would change, and does nothing.`,
		Example: `  abt2 ship --op=lihua
  abt2 ship all --op=lihua
  abt2 ship web order --op=lihua`,
	}
	fill := func(cmd *cobra.Command, args []string, r *abt2.VerbRequest) (err error) {
		r.Modules, err = moduleNames(cmd, args)
		return err
	}
	a.verbCommand(c, abt2.VerbShip, fill, a.runVerb)
	ship := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.plan(cmd)
		}
		return ship(cmd, args)
	}
	return c
}

func (a *app) plan(cmd *cobra.Command) error {
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
	lines, err := svc.Plan(cmd.Context(), abt2.PlanRequest{By: by, Product: product})
	switch {
	case err != nil:
		return err
	case a.json:
		a.out.json(list(lines))
		return nil
	case len(lines) == 0:
		a.err.line("nothing was put: commit would change nothing")
	}
	a.out.table("", planHeader, planRows(lines))
	if a.out.terminal {
		a.next("%s", nextOfPlan(lines, by.Operator))
	}
	return nil
}

var planHeader = []string{"module", "from", "to", "size", "digest", "state", "detail"}

func planRows(lines []abt2.PlanLine) [][]cell {
	var rows [][]cell
	for _, l := range lines {
		from, to, n, d := versionCell(l.From, "new"), versionCell(l.To, "removed"), size(l.Size), digest(l.Digest)
		if l.To.IsZero() {
			n, d = cell{}, cell{}
		}
		t := wary
		switch l.State {
		case abt2.TargetShipped:
			t = good
		case abt2.TargetFailed:
			t = bad
		}
		rows = append(rows, []cell{word(string(l.Module)), from, to, n, d, {text: string(l.State), tone: t}, {text: l.Detail, short: blank(l.Detail)}})
	}
	return rows
}

// versionCell is a version, or on a terminal the word for none.
func versionCell(v abt2.VersionID, none string) cell {
	if v.IsZero() {
		return cell{short: none}
	}
	return word(v.String())
}

// blank keeps a terminal from showing a dash for what is seldom there.
func blank(s string) string {
	if s == "" {
		return " "
	}
	return ""
}

func nextOfPlan(lines []abt2.PlanLine, op string) string {
	if len(lines) == 0 {
		return fmt.Sprintf("abt2 config put --op=%s --name=MODULE --path=ARTIFACT", op)
	}
	for _, l := range lines {
		if l.State != abt2.TargetShipped {
			return "abt2 ship all --op=" + op
		}
	}
	return "abt2 commit --op=" + op
}

func (a *app) unshipCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unship all | MODULE...",
		Short: "Take new versions down again",
		Long: `Takes new versions out of the preview and stops them. What was put remains: ship
starts it again, config drop takes it back.`,
		Example: `  abt2 unship web --op=lihua
  abt2 unship all --op=lihua`,
	}
	fill := func(cmd *cobra.Command, args []string, r *abt2.VerbRequest) (err error) {
		if len(args) == 0 {
			return usage(cmd, "needs modules, or all")
		}
		r.Modules, err = moduleNames(cmd, args)
		return err
	}
	return a.verbCommand(c, abt2.VerbUnship, fill, a.runVerb)
}
