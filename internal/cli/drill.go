package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// Drill is a fire drill that is about to begin. Prepare comes first, then Run,
// each once.
type Drill interface {
	// Prepare finds out whether the product can be drilled, and changes nothing.
	// It returns what a person must agree to first, if anything.
	Prepare(ctx context.Context) (question string, err error)
	// Run drills, goes back to the environment it found, also when ctx ends, and
	// reports. With an error the report tells how far it came. It calls progress
	// from one goroutine at a time.
	Run(ctx context.Context, progress func(abt2.DrillProgress)) (abt2.DrillReport, error)
}

func (a *app) drillCommand() *cobra.Command {
	var r abt2.DrillRequest
	var duration time.Duration
	var faults []string
	var file string
	c := &cobra.Command{
		Use:   "drill",
		Short: "Switch back and forth under load, and count what users would notice",
		Long: `Is a fire drill on a running product, from outside: sends requests through the edge
at a constant rate, meanwhile switches back and forth between two environments, and
tells what became of the requests and how long the switches took. The environments
are those of your session: the preview and what is online, or, once committed, what
is online and the backup. Afterwards the one is online that was before; Ctrl-C
stops the drill and still goes back, Ctrl-C again leaves at once.

--faults makes trouble around the switches: server-kill, edge-upgrade, router-pause,
slow-router, instance-kill, or all. The server must have been started with
--allow-faults. On any other server the drill asks first.

Answers in JSON with a list "hops" are checked hop by hop; of others only the
routers' counters tell whether releases were mixed. The exit status is 1 if a
request failed or was mixed. What each line means: docs/drill.md.`,
		Example: `  abt2 drill --op=lihua --path=/ --path=/api/orders
  abt2 drill --op=lihua --rate=500 --duration=2m --switches=40 --faults=all
  abt2 drill --op=lihua --host=shop.example --yes --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if r.Product, err = a.productName(); err != nil {
				return err
			}
			if r.By, err = a.by(cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("requests") && cmd.Flags().Changed("duration") {
				return usage(cmd, "--requests and --duration: give one of them; the rate tells the other")
			}
			if !cmd.Flags().Changed("requests") {
				r.Requests = int(duration.Seconds() * float64(r.Rate))
			}
			if !cmd.Flags().Changed("seed") {
				r.Seed = uint64(a.env.Now().UnixMicro()) % 1_000_000_007
			}
			if !cmd.Flags().Changed("path") && len(r.URLs) == 0 {
				r.Paths = []string{"/"}
			}
			r.Faults = faultKinds(faults)
			if err := r.Validate(); err != nil {
				return usage(cmd, "--%s", err)
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			return a.runDrill(cmd.Context(), a.env.NewDrill(svc, r), r, file)
		},
	}
	f := c.Flags()
	f.IntVar(&r.Rate, "rate", 100, "requests a second, constant whatever the answers do")
	f.IntVar(&r.Requests, "requests", 0, "how many requests, at least: the load goes on until the last switch is over")
	f.DurationVar(&duration, "duration", 30*time.Second, "how long, at least, in place of --requests")
	f.IntVar(&r.Switches, "switches", 10, "how many switches, spread over the requests; one more if the number is odd, to go back")
	f.StringArrayVar(&r.Paths, "path", nil, "what to ask for at the edge, by GET: a `PATH`, which must answer 2xx; may be repeated (default /)")
	f.StringArrayVar(&r.URLs, "url", nil, "what to ask for beside that: a whole `URL`, like a service's unversioned address; may be repeated")
	f.StringVar(&r.Host, "host", "", "the `HOST` to ask for (default: the edge's address)")
	f.IntVar(&r.InFlight, "in-flight", 256, "requests on their way at once, at most; what is due meanwhile is sent late, and counted")
	f.DurationVar(&r.Timeout, "timeout", 10*time.Second, "how long a request may take until it counts as failed")
	f.DurationVar(&r.AckTimeout, "ack-timeout", 0, "how long each switch waits for confirmations before anything changes (default 10s)")
	f.StringSliceVar(&faults, "faults", nil, "the `FAULTS` to make, separated by commas, or all")
	f.DurationVar(&r.FaultTime, "fault-time", 2*time.Second, "how long a fault lasts, at most, where it lasts; each draws its own")
	f.Uint64Var(&r.Seed, "seed", 0, "what is left to chance, to repeat a drill (default: a new one, which the table tells)")
	f.StringVar(&file, "report", "", "also write what --json prints to `FILE`")
	a.productFlag(c)
	a.opFlag(c)
	a.yesFlag(c)
	a.jsonFlag(c)
	return c
}

// faultKinds reads --faults. Whether each is known is checked later.
func faultKinds(words []string) []abt2.FaultKind {
	if len(words) == 1 && words[0] == "all" {
		return abt2.FaultKinds()
	}
	var out []abt2.FaultKind
	for _, w := range words {
		out = append(out, abt2.FaultKind(w))
	}
	return out
}

func (a *app) runDrill(ctx context.Context, d Drill, r abt2.DrillRequest, file string) error {
	question, err := d.Prepare(ctx)
	if err != nil {
		return err
	}
	if question != "" {
		if err := a.ask(ctx, question); err != nil {
			return err
		}
	}
	bar := &bar{a: a, name: "drill", total: int64(r.Requests), of: count(r.Requests, "request")}
	report, err := d.Run(ctx, func(p abt2.DrillProgress) {
		if p.Text != "" {
			bar.clear()
			a.err.line("%s", tame(p.Text))
			bar.shown = 0
		}
		bar.of = fmt.Sprintf("%s, switch %d of %d", count(r.Requests, "request"), p.Switches, p.OfSwitches)
		bar.draw(int64(p.Requests))
	})
	bar.clear()
	if err != nil && report.Load.Requests == 0 {
		return err
	}
	report.Faults, report.Complaints = list(report.Faults), list(report.Complaints)
	if report.Switches.Laggards == nil {
		report.Switches.Laggards = map[string]int{}
	}
	if a.json {
		a.out.json(report)
	} else {
		a.drillTable(report)
	}
	if file != "" {
		err = errors.Join(err, keepReport(file, report))
	}
	switch {
	case err != nil:
		return err
	case !report.Clean():
		return answered{exitFailed}
	case report.Stopped:
		return answered{exitDetached}
	}
	return nil
}

// keepReport writes a report to a file.
func keepReport(file string, r abt2.DrillReport) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "--report %q: cannot be written", file)
	}
	return nil
}

// drillTable shows a drill's report.
func (a *app) drillTable(r abt2.DrillReport) {
	l, s := r.Load, r.Switches
	var rows [][]cell
	row := func(what string, t tone, format string, args ...any) {
		rows = append(rows, []cell{word(what), {text: tame(fmt.Sprintf(format, args...)), tone: t}})
	}
	none := func(n int, t tone) tone {
		if n > 0 {
			return t
		}
		return good
	}
	stopped := ""
	if r.Stopped {
		stopped = ", stopped before its time"
	}
	row("requests", plain, "%d in %s, %d a second%s", l.Requests, took(r.Took), r.Rate, stopped)
	row("failed", none(l.Failed, bad), "%d", l.Failed)
	row("cut by a killed instance", plain, "%d", l.Cut)
	row("mixed, by hop list", none(l.Mixed, bad), "%d of %d that had one", l.Mixed, l.Judged)
	row("mixed, by counters", none(int(r.Counters.Mixed), bad), "%d", r.Counters.Mixed)
	row("restamped, by counters", none(int(r.Counters.Restamped), wary), "%d", r.Counters.Restamped)
	row("stale after a confirmed switch", none(l.Stale, bad), "%d", l.Stale)
	row("sent again by the client", plain, "%d", l.Resent)
	row("sent late", plain, "%d", l.Late)
	row("due, but not sent", none(l.Unsent, wary), "%d", l.Unsent)
	row("latency outside switches", plain, "%s", latencyText(l.Outside))
	row("latency during switches", plain, "%s", latencyText(l.During))
	row("switches", plain, "%s, %s, between environments %s and %s", count(s.Commits, "commit"), count(s.Rollbacks, "rollback"), r.Found, r.Other)
	row("verb to last confirmation", plain, "%s", timesText(s.Calm))
	if s.Disturbed.Count > 0 {
		row("the same, with a fault near", plain, "%s", timesText(s.Disturbed))
	}
	row("of it prepare", plain, "%s", timesText(s.Prepared))
	row("of it flip", plain, "%s", timesText(s.Flipped))
	row("settled after", plain, "%s", timesText(s.Settled))
	row("last request answered old", plain, "%s", lastOldText(s.LastOld))
	row("processes not confirmed", none(s.Unconfirmed, wary), "%d", s.Unconfirmed)
	row("verbs repeated", plain, "%d", s.Repeated)
	var laggards []string
	for _, name := range slices.Sorted(maps.Keys(s.Laggards)) {
		laggards = append(laggards, fmt.Sprintf("%s %d×", name, s.Laggards[name]))
	}
	row("commits aborted", none(s.Aborted, wary), "%d%s", s.Aborted, after(": ", strings.Join(laggards, ", ")))
	for _, f := range r.Faults {
		refused := ""
		if f.Refused > 0 {
			refused = fmt.Sprintf(", %d could not be made", f.Refused)
		}
		row("fault "+string(f.Kind), plain, "%d%s", f.Made, refused)
	}
	switch r.Online {
	case r.Found:
		row("online", good, "environment %s, as before", r.Online)
	case 0:
		row("online", bad, "not known")
	default:
		row("online", bad, "environment %s; before it was %s", r.Online, r.Found)
	}
	row("seed", plain, "%d", r.Seed)
	a.out.table("", []string{"drill of " + string(r.Product), "measured"}, rows)
	for _, c := range r.Complaints {
		a.err.line("%s", a.err.paint(bad, tame(c)))
	}
}

func latencyText(l abt2.DrillLatency) string {
	if l.Requests == 0 {
		return "no requests"
	}
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, longest %s, of %s", took(l.P50), took(l.P99), took(l.P999), took(l.Max), count(l.Requests, "request"))
}

func timesText(t abt2.DrillTimes) string {
	if t.Count == 0 {
		return "no switch"
	}
	return fmt.Sprintf("p50 %s, p99 %s, longest %s, of %d", took(t.P50), took(t.P99), took(t.Max), t.Count)
}

func lastOldText(d *time.Duration) string {
	switch {
	case d == nil:
		return "no answer tells its environment"
	case *d <= 0:
		return "sent " + took(-*d) + " before the confirmation"
	}
	return "sent " + took(*d) + " after the confirmation"
}

// after is the text behind the separator, or nothing.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}
