package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) historyCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "history",
		Short: "List what was done, by whom",
		Long: `Lists what was done to the product, the newest first: when, by whom, which verb,
from which environment to which. The credential that was shown is recorded beside
the operator's name; --json has both.`,
		Example: `  abt2 history
  abt2 history --limit=100 --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			if limit < 0 {
				return usage(cmd, "--limit %d: must not be negative; 0 lists all", limit)
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			events, err := svc.History(cmd.Context(), product, limit)
			switch {
			case err != nil:
				return err
			case a.json:
				a.out.json(list(events))
				return nil
			}
			var rows [][]cell
			for _, e := range events {
				rows = append(rows, []cell{
					word(strconv.FormatUint(e.Seq, 10)), a.out.moment(e.Time), word(e.Operator), {text: e.Verb, tone: loud},
					environmentCell(e.From), environmentCell(e.To), {text: e.Text, short: blank(e.Text)},
				})
			}
			a.out.table("", []string{"no", "time", "operator", "verb", "from", "to", "details"}, rows)
			return nil
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	c.Flags().IntVar(&limit, "limit", 20, "how many lines at most, `N`; 0 for all")
	return c
}

func environmentCell(id abt2.EnvironmentID) cell {
	if id == 0 {
		return cell{}
	}
	return word(id.String())
}
