package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print which abt2 this is",
		Long: `Prints the version of this program, the source it was built from, and with what.
No server is asked.`,
		Example: `  abt2 version`,
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			b := a.env.Build
			if a.json {
				a.out.json(b)
				return nil
			}
			var words []string
			for _, w := range []string{"abt2", b.Version, b.Revision, b.Go, b.Platform} {
				if w != "" {
					words = append(words, w)
				}
			}
			a.out.line("%s", strings.Join(words, " "))
			return nil
		},
	}
	a.jsonFlag(c)
	return c
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a script that completes commands in a shell",
		Long: `Prints a script that makes a shell complete abt2's commands and flags. Load it in
the shell's start-up file.`,
		Example: `  source <(abt2 completion bash)
  abt2 completion fish > ~/.config/fish/completions/abt2.fish`,
		ValidArgs: shells,
		Args:      exactly(1, "the shell: "+strings.Join(shells, ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return usage(cmd, "shell %q: must be one of %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// helpCommand is abt2 help COMMAND, the same as abt2 COMMAND --help.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Long:    `Explains a command: the same as abt2 COMMAND --help.`,
		Example: `  abt2 help config put`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage(cmd, "%q: is not a command of abt2", strings.Join(args, " "))
			}
			return c.Help()
		},
	}
}
