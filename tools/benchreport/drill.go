package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// drillReport is what of abt2 drill's report is recorded.
type drillReport struct {
	Took time.Duration `json:"took_ns"`
	Rate int           `json:"rate"`
	Seed uint64        `json:"seed"`
	Load struct {
		Requests, Failed, Cut, Judged, Mixed, Stale, Resent, Unsent int
		Outside, During                                             drillTimes
	} `json:"load"`
	Counters struct{ Mixed, Restamped uint64 } `json:"counters"`
	Switches struct {
		Commits, Rollbacks, Repeated, Aborted int
		Calm, Disturbed, Settled              drillTimes
		LastOld                               *time.Duration `json:"last_old_ns"`
	} `json:"switches"`
	Faults []struct {
		Kind          string
		Made, Refused int
	} `json:"faults"`
}

type drillTimes struct {
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

// The drill's part of the file is written by its own run, and kept by others.
var drillBegin, drillEnd = []byte("\n## The fire drill\n"), []byte("\n<!-- end of the fire drill -->\n")

// drillPart is the drill's part of a report; empty: there is none.
func drillPart(report []byte) []byte {
	_, rest, found := bytes.Cut(report, drillBegin)
	if !found {
		return nil
	}
	part, _, found := bytes.Cut(rest, drillEnd)
	if !found {
		return nil
	}
	return bytes.Join([][]byte{drillBegin, part, drillEnd}, nil)
}

// recordDrill puts a drill's report into the file, in place of the one before.
func recordDrill(out, file string, now time.Time) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r drillReport
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	old, err := os.ReadFile(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var part bytes.Buffer
	part.Write(drillBegin)
	writeDrill(&part, r, now)
	part.Write(drillEnd)
	if before := drillPart(old); before != nil {
		return os.WriteFile(out, bytes.Replace(old, before, part.Bytes(), 1), 0o644)
	}
	return os.WriteFile(out, append(old, part.Bytes()...), 0o644)
}

func writeDrill(w io.Writer, r drillReport, now time.Time) {
	fmt.Fprintf(w, `
Written by `+"`make drill FULL=1`"+` on %s: %d requests in %s, %d a second, seed %d.
What each line means: [the fire drill](drill.md).

| figure | bound | measured | |
|---|---|---|---|
`, now.UTC().Format(time.DateOnly), r.Load.Requests, r.Took.Round(time.Second), r.Rate, r.Seed)
	bound := func(what string, value, most float64, unit string) {
		met := "met"
		if value > most {
			met = "**missed**"
		}
		fmt.Fprintf(w, "| %s | at most %s%s | %s | %s |\n", what, number(most), unit, number(value), met)
	}
	bound("failed", float64(r.Load.Failed), 0, "")
	bound("mixed, by hop list", float64(r.Load.Mixed), 0, fmt.Sprintf(" of %d", r.Load.Judged))
	bound("mixed, by counters", float64(r.Counters.Mixed), 0, "")
	bound("stale after a confirmed switch", float64(r.Load.Stale), 0, "")
	bound("verb to last confirmation, no fault near, p99", inMS(r.Switches.Calm.P99), 100, " ms")
	fmt.Fprint(w, "\n| | |\n|---|---|\n")
	row := func(what, format string, args ...any) {
		fmt.Fprintf(w, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("cut by a killed instance; sent again by the client; due, but not sent", "%d; %d; %d", r.Load.Cut, r.Load.Resent, r.Load.Unsent)
	row("restamped, by counters", "%d", r.Counters.Restamped)
	row("latency outside switches", "%s, p99.9 %s ms", r.Load.Outside, number(inMS(r.Load.Outside.P999)))
	row("latency during switches", "%s, p99.9 %s ms", r.Load.During, number(inMS(r.Load.During.P999)))
	row("switches", "%d commits, %d rollbacks; %d verbs repeated, %d commits aborted", r.Switches.Commits, r.Switches.Rollbacks, r.Switches.Repeated, r.Switches.Aborted)
	row("verb to last confirmation, no fault near", "%s", r.Switches.Calm)
	row("verb to last confirmation, with a fault near", "%s", r.Switches.Disturbed)
	row("settled after", "%s", r.Switches.Settled)
	if d := r.Switches.LastOld; d != nil {
		row("last request answered old, sent from its confirmation on", "%s ms", number(inMS(*d)))
	}
	for _, f := range r.Faults {
		row("fault "+f.Kind, "%d made, %d could not be made", f.Made, f.Refused)
	}
}

func (t drillTimes) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, longest %s ms", number(inMS(t.P50)), number(inMS(t.P99)), number(inMS(t.Max)))
}

func inMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
