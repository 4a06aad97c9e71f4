package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) moduleCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "module",
		Short: "Create, look at and delete modules",
		Long: `Looks after modules whatever release they are in: what there is, what runs of it,
and under which name it is reached. What users are served is a session's to change:
start create, config put, ship, commit. Their running copies: abt2 instance.`,
		Example: `  abt2 module create order --instances=2 --op=lihua
  abt2 module upload ./order.tar.gz
  abt2 module list
  abt2 module show order`,
	}, a.moduleListCommand(), a.moduleShowCommand(), a.moduleCreateCommand(), a.moduleDeleteCommand(), a.moduleUploadCommand())
}

func (a *app) moduleListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the modules and what runs of them",
		Long: `Lists the modules: kind, how many instances each version is to have, the last
release, the versions in use with what they are to their products and how many
instances are healthy, and the unversioned name. One without a kind has no build.`,
		Example: `  abt2 module list
  abt2 module list --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			svc, err := a.service()
			if err != nil {
				return err
			}
			modules, err := svc.Modules(cmd.Context(), abt2.ModulesRequest{})
			switch {
			case err != nil:
				return err
			case a.json:
				for i := range modules {
					modules[i] = wholeModule(modules[i])
				}
				a.out.json(list(modules))
				return nil
			}
			a.out.table("", []string{"module", "kind", "instances", "released", "in use", "name"}, rowsOf(modules, moduleRow))
			return nil
		},
	}
	a.jsonFlag(c)
	return c
}

// wholeModule makes empty lists of absent ones.
func wholeModule(m abt2.ModuleStatus) abt2.ModuleStatus {
	versions := list(m.Versions)
	m.Versions = nil
	for _, v := range versions {
		v.Tags = list(v.Tags)
		m.Versions = append(m.Versions, v)
	}
	m.Versions = list(m.Versions)
	return m
}

func moduleRow(m abt2.ModuleStatus) []cell {
	var used []string
	for _, v := range m.Versions {
		text := v.ID.String()
		if len(v.Tags) > 0 {
			text += " " + strings.Join(each(v.Tags), ",")
		}
		used = append(used, text+" "+healthText(v))
	}
	return []cell{
		word(string(m.Name)), word(string(m.Kind)), word(scaleText(m)), word(m.Released.String()), word(strings.Join(used, "; ")), word(m.Address),
	}
}

// scaleText is how many instances each version is to have; nothing has said so
// of a module without a build.
func scaleText(m abt2.ModuleStatus) string {
	if m.Scale == 0 {
		return ""
	}
	return strconv.Itoa(m.Scale)
}

func healthText(v abt2.VersionStatus) string {
	return strconv.Itoa(v.Healthy) + "/" + strconv.Itoa(v.Want)
}

func each[S ~string](words []S) []string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return out
}

func (a *app) moduleShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show MODULE",
		Short: "Show a module with all its versions",
		Long: `Shows a module and its versions that are kept, the newest first: what each is to its
products (online, preview, backup), how many of its instances are healthy out of how
many there should be, and the build, or the addresses of an external version.`,
		Example: `  abt2 module show order`,
		Args:    exactly(1, "one MODULE, like order"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := abt2.ModulesRequest{Module: abt2.ModuleName(args[0])}
			if err := r.Module.Validate(); err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			modules, err := svc.Modules(cmd.Context(), r)
			if err != nil {
				return err
			}
			for _, m := range modules {
				a.module(m)
			}
			return nil
		},
	}
	a.jsonFlag(c)
	return c
}

func (a *app) module(m abt2.ModuleStatus) {
	if a.json {
		a.out.json(wholeModule(m))
		return
	}
	if a.out.terminal {
		a.out.line("%s", a.modulePage(m))
	}
	var rows [][]cell
	for _, v := range m.Versions {
		build := digest(v.Artifact.Digest)
		if len(v.External) > 0 {
			build = word("external: " + strings.Join(v.External, ", "))
		}
		rows = append(rows, []cell{
			word(v.ID.String()), word(strings.Join(each(v.Tags), ",")), word(healthText(v)), a.out.moment(v.Created), build, word(v.Artifact.Name),
		})
	}
	a.out.table("", []string{"version", "tag", "healthy", "created", "build", "from"}, rows)
}

// modulePage is what there is to say of a module beside its versions.
func (a *app) modulePage(m abt2.ModuleStatus) string {
	text := a.out.paint(loud, string(m.Name)) + ": no build yet"
	if m.Kind != "" {
		text = a.out.paint(loud, string(m.Name)) + ": " + string(m.Kind)
	}
	if m.Scale > 0 {
		text += ", " + count(m.Scale, "instance") + " of each version"
	}
	if !m.Released.IsZero() {
		text += ", last released " + m.Released.String()
	}
	if m.Address != "" {
		text += ", name at " + m.Address
		if m.Owner != "" {
			text += " of " + string(m.Owner)
		}
	}
	return text
}

func (a *app) moduleCreateCommand() *cobra.Command {
	var scale int
	c := &cobra.Command{
		Use:   "create MODULE",
		Short: "Announce a module before its first build",
		Long: `Creates a module that has no build yet. Its first config put needs no --init=true
then, and it has as many instances as is said here, or else as the build says.
Creating it again succeeds. Nothing runs until a session ships a build.`,
		Example: `  abt2 module create order --op=lihua
  abt2 module create order --instances=2 --op=lihua`,
		Args: exactly(1, "one MODULE, like order"),
	}
	a.changeModule(c, abt2.ModuleCreate, &scale)
	c.Flags().IntVar(&scale, "instances", 0, "how many of each version are to run: `N`")
	return c
}

func (a *app) moduleDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete MODULE",
		Short: "Delete a module that nothing uses",
		Long: `Deletes a module. It is refused while an environment, a session or a group names it:
it never takes anything from users. History and retired environments go on naming
its versions; neither their numbers nor its unversioned name are given again.
A new build under the name, with --init=true, brings it back.`,
		Example: `  abt2 module delete order --op=lihua`,
		Args:    exactly(1, "one MODULE, like order"),
	}
	a.changeModule(c, abt2.ModuleDelete, new(int))
	return c
}

// changeModule completes a command that creates or deletes a module.
func (a *app) changeModule(c *cobra.Command, change abt2.ModuleChange, scale *int) {
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("instances") && (*scale < 1 || *scale > abt2.MaxScale) {
			return usage(cmd, "--instances %d: must be 1 to %d", *scale, abt2.MaxScale)
		}
		r := abt2.ChangeModuleRequest{Module: abt2.ModuleName(args[0]), Change: change, Scale: *scale, DryRun: a.dryRun}
		if err := r.Module.Validate(); err != nil {
			return err
		}
		var err error
		if r.Product, err = a.productName(); err != nil {
			return err
		}
		if r.By, err = a.by(cmd); err != nil {
			return err
		}
		svc, err := a.service()
		if err != nil {
			return err
		}
		m, err := svc.ChangeModule(cmd.Context(), r)
		if err != nil {
			return err
		}
		would := ""
		if a.dryRun {
			would = "would be "
		}
		switch {
		case a.json:
			a.out.json(wholeModule(m))
		case change == abt2.ModuleDelete:
			a.out.line("%s: %sdeleted", m.Name, would)
		case a.dryRun:
			a.out.line("%s: would be created", m.Name)
		default:
			a.out.line("%s: created", m.Name)
			a.next("abt2 start create --op=%s, then abt2 config put --op=%s --name=%s --path=ARTIFACT", r.Operator, r.Operator, m.Name)
		}
		return nil
	}
	a.productFlag(c)
	a.opFlag(c)
	a.jsonFlag(c)
	a.dryRunFlag(c)
}

func (a *app) moduleUploadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "upload PATH...",
		Short: "Bring builds to the server before they are put",
		Long: `Brings builds to the server, so that the config put that names the same file or
folder has nothing left to send: for a slow line, or a build job that is not the
release's operator. What is there already is not sent again. Nothing refers to a
build before it is put, and the next clean removes what nothing refers to.

With --dry-run builds are looked at, and it is told what would be sent.`,
		Example: `  abt2 module upload ./order.tar.gz
  abt2 module upload ./web ./order --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, "needs PATH...: files or folders, like ./order.tar.gz")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var builds []build
			for _, path := range args {
				b, err := readBuild(cmd.Context(), path)
				if err != nil {
					return err
				}
				builds = append(builds, b)
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			artifacts := []abt2.Artifact{}
			for _, b := range builds {
				if !a.dryRun {
					err = a.upload(cmd.Context(), svc, b)
				} else if has, asked := svc.HasArtifact(cmd.Context(), b.Digest); asked != nil || !has {
					err = asked
					a.err.line("%s: would be uploaded, %s", b.Name, bytesText(b.Size))
				} else {
					a.err.line("%s: the server has this build already", b.Name)
				}
				if err != nil {
					return err
				}
				artifacts = append(artifacts, b.Artifact)
			}
			if a.json {
				a.out.json(artifacts)
				return nil
			}
			var rows [][]cell
			for _, b := range artifacts {
				rows = append(rows, []cell{word(b.Name), word(string(b.Format)), size(b.Size), {text: b.Digest}})
			}
			a.out.table("", []string{"build", "format", "size", "sha256"}, rows)
			return nil
		},
	}
	a.jsonFlag(c)
	a.dryRunFlag(c)
	return c
}
