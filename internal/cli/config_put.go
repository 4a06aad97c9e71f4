package cli

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) configPutCommand() *cobra.Command {
	var (
		name, path, file, from string
		isNew                  bool
		patch                  patchFlags
	)
	c := &cobra.Command{
		Use:   "put",
		Short: "Add a build, or another configuration, to the session",
		Long: `Uploads a build, unless the server has it, and derives how it is to be run:
flags say first, then --file, then module.yaml in the build, then the module's
last release, field by field; lists and maps count as one field. Every field
that changes is printed, old and new. Without --path the build stays and only
the configuration changes.

With external, in --file or as a flag, the version is one that abt2 routes to and
checks, but does not start or stop; it has no build. The next put with --path
makes it one that abt2 runs.

A build is an executable file, a .jar, .war, .tar.gz, .tgz or .zip, or a folder.
A folder is sent as it is: the same content is the same build whatever its dates
and owners. Links that lead out of it are refused.

A module that was never released needs --init=true, so that a mistyped name does
not become one; a known module refuses it.

--from puts many modules at once, all of them or none. It names a YAML file;
paths in it are relative to it:

  web: ./web.tar.gz
  order: {path: ./order, file: order.yaml, init: true}

With --dry-run the build is uploaded, too, as its module.yaml counts. Nothing
refers to it then, and the next clean removes it.`,
		Example: `  abt2 config put --op=lihua --name=web --path=./web.tar.gz
  abt2 config put --op=lihua --name=order --path=./order --init=true --kind=service
  abt2 config put --op=lihua --name=order --env LOG_LEVEL=debug --env REGION=eu
  abt2 config put --op=lihua --name=stock --init=true --kind=service --external=10.0.0.5:8080
  abt2 config put --op=lihua --from=release.yaml`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := abt2.PutRequest{Init: isNew, DryRun: a.dryRun}
			var err error
			if r.Product, err = a.productName(); err != nil {
				return err
			}
			if r.By, err = a.by(cmd); err != nil {
				return err
			}
			flags, err := patch.read(cmd)
			if err != nil {
				return err
			}
			var wants []putWant
			switch {
			case from != "" && (name != "" || path != "" || file != "" || patch.given(cmd)):
				return usage(cmd, "--from %q: names everything itself; the only other flag about modules is --init", from)
			case from != "":
				wants, err = readReleaseFile(from)
			case name == "":
				return usage(cmd, "--name: must name a module")
			case path == "" && file == "" && !patch.given(cmd):
				return usage(cmd, "--path: must name a build; leave it out only to change the configuration, with --file or a flag")
			default:
				wants = []putWant{{module: abt2.ModuleName(name), path: path, file: file, flags: flags}}
				err = wants[0].module.Validate()
			}
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			return a.put(cmd.Context(), svc, r, wants)
		},
	}
	a.changeFlags(c)
	f := c.Flags()
	f.StringVar(&name, "name", "", "the `MODULE`")
	f.StringVar(&path, "path", "", "the build: a file or folder at `PATH`")
	f.BoolVar(&isNew, "init", false, "the module has never been released before")
	f.StringVar(&file, "file", "", "a configuration like module.yaml, at `PATH`")
	f.StringVar(&from, "from", "", "put all modules that the YAML file at `PATH` names")
	patch.define(f)
	return c
}

// putWant is one module of a put, as the command line or a file has it.
type putWant struct {
	module abt2.ModuleName
	path   string // empty: keep the artifact
	file   string // empty: none
	flags  abt2.ConfigPatch
	isNew  bool
}

// maxConfigFile bounds what --file may bring, in bytes.
const maxConfigFile = 1 << 20

// put looks at every build before it uploads the first one, and uploads all of
// them before it puts.
func (a *app) put(ctx context.Context, svc abt2.Service, r abt2.PutRequest, wants []putWant) error {
	var builds []build
	for _, w := range wants {
		m := abt2.PutModule{Module: w.module, Flags: w.flags, Init: w.isNew}
		if w.file != "" {
			b, err := os.ReadFile(w.file)
			switch {
			case err != nil:
				return abt2.Wrap(abt2.CodeInvalid, err, "%s: --file %q: cannot be read; name a YAML file", w.module, w.file)
			case len(b) > maxConfigFile:
				return abt2.Errorf(abt2.CodeInvalid, "%s: --file %q: has %d bytes, at most %d are allowed; is it a configuration?", w.module, w.file, len(b), maxConfigFile)
			case len(strings.TrimSpace(string(b))) == 0:
				return abt2.Errorf(abt2.CodeInvalid, "%s: --file %q: is empty; leave --file out", w.module, w.file)
			}
			m.File = b
		}
		if w.path != "" {
			b, err := readBuild(ctx, w.path)
			if err != nil {
				return err
			}
			m.Artifact = b.Artifact
			builds = append(builds, b)
		}
		r.Modules = append(r.Modules, m)
	}
	for _, b := range builds {
		if err := a.upload(ctx, svc, b); err != nil {
			return err
		}
	}
	answers, err := svc.Put(ctx, r)
	if err != nil {
		return err
	}
	a.putAnswers(r, answers)
	return nil
}

func (a *app) putAnswers(r abt2.PutRequest, answers []abt2.PutAnswer) {
	if a.json {
		for i := range answers {
			answers[i].Changes = list(answers[i].Changes)
		}
		a.out.json(list(answers))
		return
	}
	ship := false
	for _, x := range answers {
		from := x.From.String()
		if from == "" {
			from = "new"
		}
		if x.Same {
			a.out.line("%s is online already: nothing to ship", x.Version)
		} else {
			ship = true
			a.out.line("%s → %s  %s", from, a.out.paint(loud, x.Version.String()), digest(x.Digest).shown())
		}
		for _, c := range x.Changes {
			if x.From.IsZero() {
				a.out.line("  %s: %s", c.Field, quoteEmpty(c.To))
				continue
			}
			a.out.line("  %s: %s → %s", c.Field, quoteEmpty(c.From), quoteEmpty(c.To))
		}
	}
	switch {
	case a.dryRun:
		a.out.line("dry run: nothing was put")
	case ship:
		a.next("abt2 ship all --op=%s", r.Operator)
	default:
		a.next("abt2 status")
	}
}

func quoteEmpty(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

func joined[S ~string](words []S) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
