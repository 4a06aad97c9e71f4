// Command benchreport turns what `go test -bench` printed into
// docs/benchmarks.md: the figures the project promises, each with its bound,
// its baseline and what was measured, then every benchmark.
//
//	benchreport -o FILE BENCH-OUTPUT...
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	out := flag.String("o", "", "file to write; empty: standard output")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
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
	return os.WriteFile(out, b.Bytes(), 0o644)
}
