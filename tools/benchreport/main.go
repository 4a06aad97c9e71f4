// Command benchreport turns what `go test -bench` printed into
// docs/benchmarks.md: the figures the project promises, each with its bound,
// its baseline and what was measured, then every benchmark.
//
//	benchreport -o FILE BENCH-OUTPUT...
//	benchreport -o FILE -drill REPORT
//
// The latter puts the report of an abt2 drill into the file, and leaves the rest.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"time"
)

func main() {
	out := flag.String("o", "", "file to write; empty: standard output")
	drill := flag.String("drill", "", "report of an abt2 drill to record in the file")
	flag.Parse()
	var err error
	if *drill != "" {
		err = recordDrill(*out, *drill, time.Now())
	} else {
		err = run(*out, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchreport:", err)
		os.Exit(1)
	}
}

func run(out string, files []string) error {
	results, err := read(files)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	write(&b, results, time.Now())
	if out == "" {
		_, err = os.Stdout.Write(b.Bytes())
		return err
	}
	old, err := os.ReadFile(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.Write(drillPart(old))
	return os.WriteFile(out, b.Bytes(), 0o644)
}
