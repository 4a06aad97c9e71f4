package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const printed = `goos: linux
goarch: amd64
pkg: abt2.dev/lane
cpu: A Processor
BenchmarkPick/1-2         	 1000	        40.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkPick/1-2         	 1000	        90.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkPick/1-2         	 1000	        42.0 ns/op	       0 B/op	       0 allocs/op
PASS
pkg: abt2.dev/internal/edge
BenchmarkProxy/plain-2    	 1000	      8000 req/s
BenchmarkProxy/abt2-2     	 1000	      7600 req/s
PASS
`

func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := read([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	write(&b, all, time.Unix(0, 0))
	for _, want := range []string{
		"| processor | A Processor,",
		"| date | 1970-01-01 |",
		"## abt2.dev/lane",
		"| Pick/1 | 3 | 42 ns/op, 0 B/op, 0 allocs/op |",
		"| Proxy/abt2 | 1 | 7600 req/s |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}

func TestFigure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := read([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	pick := measure{"abt2.dev/lane", "Pick/1", "ns/op"}
	plain := measure{"abt2.dev/internal/edge", "Proxy/plain", "req/s"}
	abt2 := measure{"abt2.dev/internal/edge", "Proxy/abt2", "req/s"}
	for _, c := range []struct {
		f    figure
		want string
	}{
		{figure{what: "pick", measured: pick, bound: 60}, "| pick | at most 60 ns/op | 42 | – | met |\n"},
		{figure{what: "pick", measured: pick, bound: 41}, "| pick | at most 41 ns/op | 42 | – | **missed** |\n"},
		{figure{what: "edge", measured: abt2, baseline: &plain, bound: 0.9, atLeast: true}, "| edge | at least 0.9 of the baseline | 0.95 | Proxy/plain: 8000 req/s | met |\n"},
		{figure{what: "edge", measured: abt2, baseline: &plain, bound: 0.96, atLeast: true}, "| edge | at least 0.96 of the baseline | 0.95 | Proxy/plain: 8000 req/s | **missed** |\n"},
		{figure{what: "speed", measured: pick, baseline: &measure{"abt2.dev/lane", "Pick/1", "ns/op"}, speed: true, bound: 1, atLeast: true}, "| speed | at least 1 of the baseline | 1 | Pick/1: 42 ns/op | met |\n"},
		{figure{what: "faster", measured: measure{"abt2.dev/internal/edge", "Proxy/abt2", "req/s"}, baseline: &plain, speed: true, bound: 1, atLeast: true}, "| faster | at least 1 of the baseline | 1.05 | Proxy/plain: 8000 req/s | met |\n"},
		{figure{what: "gone", measured: measure{"x", "y", "z"}, bound: 1}, "| gone | at most 1 z | – | – | not measured |\n"},
	} {
		var b bytes.Buffer
		writeFigure(&b, all, c.f)
		if b.String() != c.want {
			t.Errorf("got  %swant %s", b.String(), c.want)
		}
	}
}

func TestReadNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(file, []byte("PASS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read([]string{file}); err == nil {
		t.Error("a file without benchmarks was accepted")
	}
}

// A drill's part is replaced by the next drill, and outlives the benchmarks.
func TestDrillIsRecorded(t *testing.T) {
	dir := t.TempDir()
	out, bench, drill := filepath.Join(dir, "out.md"), filepath.Join(dir, "bench.txt"), filepath.Join(dir, "drill.json")
	put := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(err error, wants ...string) {
		t.Helper()
		b, e := os.ReadFile(out)
		if err != nil || e != nil {
			t.Fatal(err, e)
		}
		for _, want := range wants {
			if strings.Count(string(b), want) != 1 {
				t.Errorf("want once %q:\n%s", want, b)
			}
		}
	}
	put(bench, printed)
	check(run(out, []string{bench}), "## abt2.dev/lane")
	put(drill, `{"took_ns": 60000000000, "rate": 100, "load": {"requests": 6000, "failed": 1, "judged": 6000},
		"switches": {"commits": 2, "calm": {"p99_ns": 61000000}, "last_old_ns": -4600000}, "faults": [{"kind": "server-kill", "made": 3}]}`)
	check(recordDrill(out, drill, time.Unix(0, 0)), "## The fire drill", "on 1970-01-01: 6000 requests in 1m0s", "| failed | at most 0 | 1 | **missed** |",
		"no fault near, p99 | at most 100 ms | 61 | met |", "| -4.6 ms |", "| fault server-kill | 3 made, 0 could not be made |", "## abt2.dev/lane")
	put(drill, `{"rate": 200, "load": {"requests": 7000}}`)
	check(recordDrill(out, drill, time.Unix(0, 0)), "7000 requests", "## The fire drill", "| failed | at most 0 | 0 | met |")
	check(run(out, []string{bench}), "7000 requests", "## The fire drill", "## abt2.dev/lane")
}
