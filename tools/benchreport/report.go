package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func write(w io.Writer, all *results, now time.Time) {
	fmt.Fprintf(w, `# Benchmarks

Written by `+"`make bench`"+`; do not edit. Absolute times belong to this machine at
this moment: trust ratios and counts. Of several runs the median is shown.

| machine | |
|---|---|
| processor | %s, %d cores |
| system | %s/%s |
| Go | %s |
| date | %s |

## What is promised

| figure | bound | measured | baseline | |
|---|---|---|---|---|
`, all.machine["cpu"], runtime.NumCPU(), all.machine["goos"], all.machine["goarch"], runtime.Version(), now.UTC().Format(time.DateOnly))
	for _, f := range figures {
		writeFigure(w, all, f)
	}
	pkg := ""
	for _, r := range all.list {
		if r.pkg != pkg {
			pkg = r.pkg
			fmt.Fprintf(w, "\n## %s\n\n| benchmark | runs | measured |\n|---|---|---|\n", pkg)
		}
		var cells []string
		for _, unit := range r.units {
			v, _ := r.median(unit)
			cells = append(cells, number(v)+" "+unit)
		}
		fmt.Fprintf(w, "| %s | %d | %s |\n", r.name, r.runs, strings.Join(cells, ", "))
	}
}

func writeFigure(w io.Writer, all *results, f figure) {
	rule, unit := "at most", f.measured.unit
	if f.atLeast {
		rule = "at least"
	}
	baseline := "–"
	value, base, ok := f.value(all)
	if f.baseline != nil {
		unit = "of the baseline"
		baseline = fmt.Sprintf("%s: %s %s", f.baseline.name, number(base), f.baseline.unit)
	}
	bound := fmt.Sprintf("%s %s %s", rule, number(f.bound), unit)
	switch {
	case !ok:
		fmt.Fprintf(w, "| %s | %s | – | – | not measured |\n", f.what, bound)
	case f.met(value):
		fmt.Fprintf(w, "| %s | %s | %s | %s | met |\n", f.what, bound, number(value), baseline)
	default:
		fmt.Fprintf(w, "| %s | %s | %s | %s | **missed** |\n", f.what, bound, number(value), baseline)
	}
}

// number writes three significant digits, and whole numbers whole.
func number(v float64) string {
	if v == float64(int64(v)) || v >= 1000 {
		return strconv.FormatInt(int64(v+0.5), 10)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
