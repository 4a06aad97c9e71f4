package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) validateCommand() *cobra.Command {
	var r abt2.ValidateRequest
	var all bool
	c := &cobra.Command{
		Use:   "validate",
		Short: "Compare what should be with what is",
		Long: `Compares what should be with what is, and lists every difference with what to do
about it. Without flags everything is compared. The exit status is 0 when there
is no difference, 3 when there is one. What an operator has stopped is listed, too,
and is none. Nothing is changed: abt2 refresh does.`,
		Example: `  abt2 validate
  abt2 validate --platform --edge`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			if r.Product = product; all {
				r = abt2.ValidateRequest{Product: product}
			}
			diffs, err := svc.Validate(cmd.Context(), r)
			if err != nil {
				return err
			}
			a.differences(diffs)
			switch {
			case slices.ContainsFunc(diffs, func(d abt2.Difference) bool { return !d.Meant }):
				return answered{exitDifferences}
			case len(diffs) > 0:
				a.err.line("no differences but those that operators want")
			default:
				a.err.line("no differences")
			}
			return nil
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	f := c.Flags()
	f.BoolVar(&r.Platform, "platform", false, "compare what runs")
	f.BoolVar(&r.Platform, "jpaas", false, "the same as --platform")
	f.BoolVar(&r.Edge, "edge", false, "compare what the gateway serves")
	f.BoolVar(&r.Edge, "bfe", false, "the same as --edge")
	f.BoolVar(&r.ConfigCentre, "config-centre", false, "compare the values that running processes were given")
	f.BoolVar(&r.ConfigCentre, "disconf", false, "the same as --config-centre")
	f.BoolVar(&r.Registry, "registry", false, "compare the unversioned names")
	f.BoolVar(&r.Routers, "routers", false, "compare what routers have applied")
	f.BoolVar(&all, "all", false, "compare everything, as without flags")
	return c
}

func (a *app) differences(diffs []abt2.Difference) {
	if a.json {
		a.out.json(list(diffs))
		return
	}
	var rows [][]cell
	for _, d := range diffs {
		is := cell{text: d.Is, tone: bad}
		if d.Meant {
			is.tone = wary
		}
		rows = append(rows, []cell{word(d.Part), word(d.Object), word(d.Should), is, word(d.Remedy)})
	}
	a.out.table("", []string{"part", "object", "should be", "is", "remedy"}, rows)
}

// list makes an empty list of none, for JSON.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
