// Package cli is the abt2 command: it reads flags, asks an abt2.Service, and
// writes for people or for programs. It knows no server: main hands it in.
package cli

import (
	"context"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"abt2.dev"
)

//go:generate go test -run ^TestReferenceIsCurrent$ -update .

// Env is the world around the program. Everything a command touches beside the
// files it was told to read is in here, so that tests hold all of it.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// IsTerminal tells whether Stdin, Stdout or Stderr is one.
	IsTerminal func(stream any) bool
	Now        func() time.Time       // its location is the one times are shown in
	UserName   func() (string, error) // the system's name of whoever calls
	Build      Build

	// NewService returns the service at a URL, like http://127.0.0.1:7070.
	NewService func(url string, token func() (string, error)) abt2.Service
	// Executable returns the path of this program.
	Executable func() (string, error)
	// NewDrill returns a drill of a service.
	NewDrill func(svc abt2.Service, r abt2.DrillRequest) Drill
	// RunServer serves until ctx ends, or fails. It calls c.Ready once.
	RunServer func(ctx context.Context, c ServerConfig) error
	// RunEdge and RunShim are the programs of a server's children; what to be is
	// written down in dir.
	RunEdge func(ctx context.Context, dir string, o EdgeOptions) error
	RunShim func(ctx context.Context, dir string) error
	// RunDown ends the server, the edge and the instances of a data folder and
	// returns what it ended, or in a dry run would end, a line each.
	RunDown func(ctx context.Context, dir string, dryRun bool) ([]string, error)
	// RunRestore makes a data folder of a backup.
	RunRestore func(ctx context.Context, c RestoreConfig) (Restored, error)
	// RunDoctor checks what a server with these settings needs, or has.
	RunDoctor func(ctx context.Context, c ServerConfig) ([]Finding, error)
}

// Build says what program this is.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source; empty: unknown
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Program is the abt2 command as a value. It runs once.
type Program struct{ app *app }

// New returns the program in its world.
func New(env Env) *Program {
	return &Program{&app{env: env, out: newPrinter(env, env.Stdout), err: newPrinter(env, env.Stderr)}}
}

// Tree returns all commands, for whoever describes them. Do not run it: that is
// what a Program is for.
func Tree(env Env) *cobra.Command { return New(env).app.root() }

// Run does what the arguments say and returns the exit status. When ctx ends, a
// command that waits for the server leaves it to its work and returns.
func (p *Program) Run(ctx context.Context) int {
	a := p.app
	root := a.root()
	root.SetArgs(append([]string{}, a.env.Args...))
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	cmd, err := root, a.readable()
	if err == nil {
		cmd, err = root.ExecuteContextC(ctx)
	}
	return a.exit(ctx, cmd, err)
}

func (a *app) readable() error {
	for _, arg := range a.env.Args {
		if !utf8.ValidString(arg) {
			return abt2.Errorf(abt2.CodeInvalid, "argument %q: is not UTF-8; write it in UTF-8", arg)
		}
	}
	return nil
}

// app is one run of the program: its world and what the common flags say.
type app struct {
	env      Env
	out, err *printer

	product  string
	op       string
	takeover bool
	dryRun   bool
	yes      bool
	json     bool
	lookedIn string // where the token was sought, for messages
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "abt2",
		Short: "Release many modules as one unit, and switch in one step",
		Long: `abt2 releases many modules as one unit and switches real traffic between two
complete environments in one step: open a session, put new builds, ship them
beside what is running, look at them behind a cookie, commit, and if need be
roll back.

Commands find the server at ABT2_SERVER, else at ` + defaultServer + `, and their
credential in the file ABT2_TOKEN_FILE, else in operator.token of the data folder
ABT2_DATA, else of ` + defaultData + `. Tables are aligned on a terminal and
tab-separated rows in a pipe; NO_COLOR is kept.

Exit statuses:
` + exitHelp(),
		Example: `  abt2 server --data=/srv/abt2
  abt2 start create --op=lihua --desp="sprint 44"
  abt2 config put --op=lihua --name=web --path=./web.tar.gz
  abt2 ship all --op=lihua
  abt2 commit --op=lihua
  abt2 clean --op=lihua`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage(cmd, "%q: is not a command of abt2%s", args[0], suggest(cmd, args[0]))
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetHelpTemplate("{{.Short}}.\n\n{{trimTrailingWhitespaces .Long}}\n\n{{.UsageString}}")
	root.SetHelpCommand(a.helpCommand())
	root.SetHelpCommandGroupID("run")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%s", err) })
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, command := range g.commands {
			c := command(a)
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(a.edgeCommand(), a.shimCommand())
	root.InitDefaultHelpCmd()
	return root
}

// groups is the command table. Help sorts each group by name.
var groups = []struct {
	id, title string
	commands  []func(*app) *cobra.Command
}{
	{"release", "Releasing:", []func(*app) *cobra.Command{
		(*app).startCommand, (*app).configCommand, (*app).shipCommand, (*app).unshipCommand,
		(*app).commitCommand, (*app).rollbackCommand, (*app).cleanCommand, (*app).parkCommand, (*app).unparkCommand,
	}},
	{"look", "Looking:", []func(*app) *cobra.Command{
		(*app).statusCommand, (*app).historyCommand, (*app).logsCommand, (*app).envCommand, (*app).nameCommand, (*app).callCommand, (*app).moduleCommand,
	}},
	{"care", "Taking care:", []func(*app) *cobra.Command{
		(*app).validateCommand, (*app).refreshCommand, (*app).scaleCommand, (*app).instanceCommand, (*app).productCommand, (*app).routerCommand, (*app).drillCommand, (*app).doctorCommand,
	}},
	{"run", "Running abt2:", []func(*app) *cobra.Command{
		(*app).serverCommand, (*app).downCommand, (*app).installSystemdCommand, (*app).backupCommand, (*app).restoreCommand, (*app).versionCommand,
		(*app).completionCommand,
	}},
}

// family is a command that only holds others.
func family(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.AddCommand(members...)
	var names []string
	for _, m := range members {
		names = append(names, m.Name())
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		word := ""
		if len(args) > 0 {
			word = args[0]
		}
		return usage(cmd, "%s %q: must be one of %s", cmd.Name(), word, strings.Join(names, ", "))
	}
	return c
}

func suggest(cmd *cobra.Command, word string) string {
	if s := cmd.SuggestionsFor(word); len(s) > 0 {
		return "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return "; abt2 --help lists them"
}
