// Command demo releases the shop before your eyes: it builds abt2 and the
// shop's modules, starts a server, and runs the real command line for every
// step, part of it under load. It ends with an exit status other than zero if a
// step failed or a single request did. With -drill it has a fire drill on the
// shop instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"abt2.dev/examples/demo/stage"
	"golang.org/x/term"
)

func main() {
	var o options
	flag.BoolVar(&o.keep, "keep", false, "leave the server running with a preview up, and say how to go on")
	flag.BoolVar(&o.short, "short", false, "send fewer requests")
	flag.BoolVar(&o.drill, "drill", false, "have a fire drill on the shop, in place of the demo")
	flag.BoolVar(&o.full, "full", false, "with -drill: the one whose figures are recorded; half an hour")
	flag.StringVar(&o.faults, "faults", "all", "with -drill: the faults to make, as abt2 drill names them")
	flag.StringVar(&o.report, "report", "", "with -drill: also write the report to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := &show{w: os.Stdout, colour: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""}
	if err := run(ctx, out, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type options struct {
	keep, short, drill bool
	drillOptions
}

// strikeLimit bounds how long ending everything may take.
const strikeLimit = time.Minute

func run(ctx context.Context, out *show, o options) (err error) {
	if !o.drill {
		out.welcome()
	}
	s, err := stage.New(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && o.keep {
			return
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), strikeLimit)
		defer cancel()
		switch e := s.Strike(end); {
		case e != nil:
			err = errors.Join(err, fmt.Errorf("not everything could be stopped, look in %s: %w", s.Dir, e))
		case ctx.Err() != nil:
			err = errors.New("interrupted; everything was stopped and removed")
		}
	}()
	if o.drill {
		return runDrill(ctx, out, s, o.drillOptions)
	}
	p := &play{Stage: s, out: out, options: o}
	for _, act := range []func(context.Context) error{p.prepare, p.open, p.preview, p.traffic, p.finale} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}
