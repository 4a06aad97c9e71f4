package cli

import (
	"github.com/spf13/cobra"
)

// Finding is what one check of abt2 doctor has found.
type Finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warn or fail
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var settings serverSettings
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the machine and the data folder",
		Long: `Checks what abt2 needs of this machine and of its data folder, with a server or
without one, and tells what to do about each finding. Nothing is changed. Give it
the settings of the server, by flags, environment or file.

The exit status is 0 when nothing fails, 3 when something does; warnings are not
failures.`,
		Example: `  abt2 doctor
  abt2 doctor --data=/srv/abt2 --edge-listen=0.0.0.0:80
  abt2 doctor --config=/etc/abt2.yaml --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := a.serverConfig(cmd, settings)
			if err != nil {
				return err
			}
			findings, err := a.env.RunDoctor(cmd.Context(), config)
			if err != nil {
				return err
			}
			return a.findings(findings)
		},
	}
	a.serverFlags(c, &settings)
	a.jsonFlag(c)
	return c
}

func (a *app) findings(findings []Finding) error {
	failed := 0
	var rows [][]cell
	for _, f := range findings {
		t := map[string]tone{"ok": good, "warn": wary, "fail": bad}[f.Result]
		if f.Result == "fail" {
			failed++
		}
		rows = append(rows, []cell{{text: f.Result, tone: t}, word(f.Check), word(f.Detail), word(f.Remedy)})
	}
	if a.json {
		a.out.json(list(findings))
	} else {
		a.out.table("", []string{"result", "check", "found", "remedy"}, rows)
	}
	if failed > 0 {
		return answered{exitDifferences}
	}
	return nil
}
