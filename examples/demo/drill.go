package main

import (
	"context"
	"fmt"
	"os"

	"abt2.dev/examples/demo/stage"
)

// drillOptions say what drill the shop is to have, in place of the play.
type drillOptions struct {
	full   bool   // the one whose figures are recorded; half an hour
	faults string // as --faults says it; empty: none
	report string // the file for the report; empty: none
}

// runDrill puts the shop online, ships a second season of all its modules
// beside it, and has the drill that the options say.
func runDrill(ctx context.Context, out *show, s *stage.Stage, o drillOptions) error {
	out.say("Building the shop twice …")
	var flags []string
	if o.faults != "" {
		flags = []string{"--allow-faults"}
	}
	if _, _, err := s.Start(ctx, flags...); err != nil {
		return err
	}
	if err := seasons(ctx, s); err != nil {
		return err
	}
	args := []string{"drill", op, "--yes", "--path=/json", "--path=/api/where", "--path=/api/products"}
	if o.full {
		args = append(args, "--rate=550", "--requests=1000000", "--switches=200", "--fault-time=30s", "--timeout=45s")
	} else {
		args = append(args, "--rate=300", "--duration=150s", "--switches=40", "--fault-time=5s")
	}
	if o.faults != "" {
		args = append(args, "--faults="+o.faults)
	}
	if o.report != "" {
		args = append(args, "--report="+o.report)
	}
	out.command(append([]string{"abt2"}, args...)...)
	if err := s.Abt2(ctx, out.w, os.Stderr, args...); err != nil {
		return fmt.Errorf("abt2 drill: %w", err)
	}
	return nil
}

// seasons puts the shop's spring online and ships its summer: all five modules,
// each different, two instances of each.
func seasons(ctx context.Context, s *stage.Stage) error {
	for i, season := range []string{"spring", "summer"} {
		file, err := s.Release(ctx, season, builds(season)...)
		if err != nil {
			return err
		}
		commands := [][]string{{"start", "create", op}, {"config", "put", op, "--from=" + file, fmt.Sprintf("--init=%v", i == 0)}, {"ship", "all", op}}
		if i == 0 {
			commands = append(commands, []string{"commit", op}, []string{"clean", op, "--yes"})
		}
		for _, c := range commands {
			if _, err := s.Ask(ctx, c...); err != nil {
				return err
			}
		}
	}
	return nil
}

func builds(season string) []stage.Build {
	var out []stage.Build
	for _, m := range []string{"web", "api", "order", "stock"} {
		out = append(out, stage.Build{Module: m, Config: "env: {SEASON: " + season + "}\n"})
	}
	return append(out, stage.Build{Module: "report", Config: "args: [" + season + "]\ninstances: 2\n"})
}
