package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) nameGroupCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "group",
		Short: "Name groups of modules",
		Long: `A group is a name for several modules of a product. Looked up, it leads to the
instances of all of them that are online. Groups and modules share their names.`,
		Example: `  abt2 name group create checkout order stock --op=lihua
  abt2 name group list`,
	},
		a.nameGroupListCommand(),
		a.nameGroupChange(abt2.GroupCreate, "create GROUP MODULE...", "Create a group of modules",
			`Creates a group. Creating it again with the same modules succeeds.`,
			`  abt2 name group create checkout order stock --op=lihua`),
		a.nameGroupChange(abt2.GroupAdd, "add GROUP MODULE...", "Add modules to a group",
			`Adds modules to a group. What is in it already stays.`,
			`  abt2 name group add checkout price --op=lihua`),
		a.nameGroupChange(abt2.GroupRemove, "remove GROUP MODULE...", "Remove modules from a group",
			`Removes modules from a group. The modules themselves are not touched.`,
			`  abt2 name group remove checkout price --op=lihua`),
		a.nameGroupChange(abt2.GroupDelete, "delete GROUP", "Delete a group",
			`Deletes a group: its name leads nowhere then. Its modules are not touched.`,
			`  abt2 name group delete checkout --op=lihua`),
	)
}

func (a *app) nameGroupListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the groups and their modules",
		Long:    `Lists the groups of a product, each with its modules.`,
		Example: `  abt2 name group list`,
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			groups, err := svc.Groups(cmd.Context(), product)
			switch {
			case err != nil:
				return err
			case a.json:
				a.out.json(list(groups))
				return nil
			}
			var rows [][]cell
			for _, g := range groups {
				rows = append(rows, []cell{word(string(g.Name)), word(moduleList(g))})
			}
			a.out.table("", []string{"group", "modules"}, rows)
			return nil
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	return c
}

// nameGroupChange is one of the commands that change a group.
func (a *app) nameGroupChange(change abt2.GroupChange, use, short, long, example string) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if alone := change == abt2.GroupDelete; len(args) == 0 || alone != (len(args) == 1) {
				return usage(cmd, "needs %s", strings.TrimPrefix(use, string(change)+" "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r := abt2.GroupRequest{Group: abt2.GroupName(args[0]), Change: change, DryRun: a.dryRun}
			var err error
			if r.Product, err = a.productName(); err != nil {
				return err
			}
			if r.By, err = a.by(cmd); err != nil {
				return err
			}
			if err := r.Group.Validate(); err != nil {
				return err
			}
			for _, m := range args[1:] {
				r.Modules = append(r.Modules, abt2.ModuleName(m))
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			g, err := svc.ChangeGroup(cmd.Context(), r)
			if err != nil {
				return err
			}
			a.group(g, change)
			return nil
		},
	}
	a.productFlag(c)
	a.opFlag(c)
	a.jsonFlag(c)
	a.dryRunFlag(c)
	return c
}

func (a *app) group(g abt2.Group, change abt2.GroupChange) {
	would := ""
	if a.dryRun {
		would = "would be "
	}
	switch {
	case a.json:
		g.Modules = list(g.Modules)
		a.out.json(g)
	case change == abt2.GroupDelete:
		a.out.line("%s: %sdeleted", g.Name, would)
	case len(g.Modules) == 0:
		a.out.line("%s: %sempty", g.Name, would)
	default:
		a.out.line("%s: %s%s", g.Name, would, moduleList(g))
	}
}

func moduleList(g abt2.Group) string {
	var words []string
	for _, m := range g.Modules {
		words = append(words, string(m))
	}
	return strings.Join(words, " ")
}
