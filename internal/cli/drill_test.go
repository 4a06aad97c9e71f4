package cli_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"abt2.dev"
)

// fakeDrill answers from its fields.
type fakeDrill struct {
	question   string
	prepareErr error
	progress   []abt2.DrillProgress
	report     abt2.DrillReport
	err        error
}

func (f *fakeDrill) Prepare(context.Context) (string, error) { return f.question, f.prepareErr }

func (f *fakeDrill) Run(_ context.Context, progress func(abt2.DrillProgress)) (abt2.DrillReport, error) {
	for _, p := range f.progress {
		progress(p)
	}
	return f.report, f.err
}

func drillReport() abt2.DrillReport {
	old := -4600 * time.Microsecond
	return abt2.DrillReport{
		Product: "default", Found: 42, Other: 43, Online: 42, Took: 30 * time.Second, Rate: 100, Seed: 7,
		Load: abt2.DrillLoad{
			Requests: 3000, Judged: 3000, Resent: 2, Late: 3,
			Outside: abt2.DrillLatency{Requests: 2950, P50: 2 * time.Millisecond, P99: 9 * time.Millisecond, P999: 20 * time.Millisecond, Max: 31 * time.Millisecond},
			During:  abt2.DrillLatency{Requests: 50, P50: 3 * time.Millisecond, P99: 12 * time.Millisecond, P999: 12 * time.Millisecond, Max: 12 * time.Millisecond},
		},
		Switches: abt2.DrillSwitches{
			Commits: 5, Rollbacks: 5,
			Calm:     abt2.DrillTimes{Count: 10, P50: 61 * time.Millisecond, P99: 80 * time.Millisecond, Max: 80 * time.Millisecond},
			Prepared: abt2.DrillTimes{Count: 10, P50: 40 * time.Millisecond, P99: 50 * time.Millisecond, Max: 50 * time.Millisecond},
			Flipped:  abt2.DrillTimes{Count: 10, P50: 20 * time.Millisecond, P99: 30 * time.Millisecond, Max: 30 * time.Millisecond},
			Settled:  abt2.DrillTimes{Count: 10, P50: time.Second, P99: 2 * time.Second, Max: 2 * time.Second},
			LastOld:  &old,
		},
	}
}

// disturbedReport is one of a drill that went badly.
func disturbedReport() abt2.DrillReport {
	r := drillReport()
	late := 3 * time.Millisecond
	r.Online, r.Stopped = 43, true
	r.Load.Failed, r.Load.Mixed, r.Load.Cut, r.Load.Unsent, r.Load.Stale = 1, 2, 3, 4, 5
	r.Counters = abt2.DrillCounters{Mixed: 5, Restamped: 6}
	r.Switches.Repeated, r.Switches.Aborted, r.Switches.Unconfirmed, r.Switches.LastOld = 2, 3, 1, &late
	r.Switches.Laggards = map[string]int{"router order-3-1": 2, "edge edge-1": 1}
	r.Switches.Disturbed, r.Switches.Calm = r.Switches.Calm, abt2.DrillTimes{}
	r.Faults = []abt2.DrillFault{{Kind: abt2.FaultServerKill, Made: 2}, {Kind: abt2.FaultRouterPause, Made: 1, Refused: 1}}
	r.Complaints = []string{"GET http://127.0.0.1:8080/: 503 Service Unavailable: no healthy instance"}
	return r
}

func drillProgress() []abt2.DrillProgress {
	return []abt2.DrillProgress{
		{Requests: 1000, OfRequests: 3000, Switches: 2, OfSwitches: 10},
		{Requests: 1001, OfRequests: 3000, Switches: 2, OfSwitches: 10, Text: "fault router-pause: order-3-1, for 1.2s"},
		{Requests: 2000, OfRequests: 3000, Switches: 5, OfSwitches: 10},
	}
}

// What the command line makes of a drill's flags.
func TestDrillRequest(t *testing.T) {
	r := run(t, world{
		args:  "drill --product=shop --op=lihua --path=/ --path=/json --url=http://127.0.0.1:1/x --host=shop.example --rate=50 --duration=4s --switches=3 --faults=server-kill,slow-router --fault-time=1s --seed=9 --in-flight=7 --timeout=3s --ack-timeout=2s",
		drill: &fakeDrill{report: drillReport()},
	})
	want := abt2.DrillRequest{
		By: abt2.By{Operator: "lihua"}, Product: "shop", Paths: []string{"/", "/json"}, URLs: []string{"http://127.0.0.1:1/x"}, Host: "shop.example",
		Rate: 50, Requests: 200, InFlight: 7, Timeout: 3 * time.Second, Switches: 3, AckTimeout: 2 * time.Second,
		Faults: []abt2.FaultKind{abt2.FaultServerKill, abt2.FaultSlowRouter}, FaultTime: time.Second, Seed: 9,
	}
	if diff := cmp.Diff(want, r.drill); diff != "" || r.status != 0 {
		t.Errorf("status %d, %s\n%s", r.status, r.stderr, diff)
	}
	r = run(t, world{args: "drill --faults=all --requests=11", drill: &fakeDrill{report: drillReport()}})
	if !slices.Equal(r.drill.Faults, abt2.FaultKinds()) || r.drill.Requests != 11 || !slices.Equal(r.drill.Paths, []string{"/"}) || r.drill.Seed == 0 {
		t.Errorf("got %+v", r.drill)
	}
	for _, bad := range []string{
		"--rate=0", "--rate=-1", "--requests=0", "--switches=0", "--in-flight=0", "--timeout=0s", "--faults=all --fault-time=31s", "--faults=all --fault-time=0s", "--path=x", "--path=",
		"--url=ftp://x/", "--faults=earthquake", "--requests=5 --duration=1s", "surplus",
	} {
		if r := run(t, world{args: "drill " + bad, drill: &fakeDrill{}}); r.status != 2 || r.drill.Rate != 0 {
			t.Errorf("%s: status %d, %s", bad, r.status, r.stderr)
		}
	}
}

// The exit status says whether users would have noticed, or who ended it.
func TestDrillStatus(t *testing.T) {
	stopped, failed := drillReport(), drillReport()
	stopped.Stopped = true
	failed.Load.Failed = 1
	both := failed
	both.Stopped = true
	counted := drillReport()
	counted.Counters.Mixed = 1
	for _, c := range []struct {
		name string
		d    fakeDrill
		want int
	}{
		{"clean", fakeDrill{report: drillReport()}, 0},
		{"failed", fakeDrill{report: failed}, 1},
		{"mixed by counters", fakeDrill{report: counted}, 1},
		{"stopped", fakeDrill{report: stopped}, 130},
		{"stopped and failed", fakeDrill{report: both}, 1},
		{"asks nobody", fakeDrill{question: "really?", report: drillReport()}, 2},
		{"refused", fakeDrill{prepareErr: abt2.Errorf(abt2.CodeRefused, "no session")}, 4},
		{"not back", fakeDrill{report: drillReport(), err: abt2.Wrap(abt2.CodeFailed, errors.New("gone"), "environment 43 is online")}, 1},
	} {
		if r := run(t, world{args: "drill", drill: &c.d}); r.status != c.want {
			t.Errorf("%s: status %d, want %d\n%s", c.name, r.status, c.want, r.stderr)
		}
	}
}

// The report is kept as --json prints it, also when the drill went badly.
func TestDrillReportFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drill.json")
	r := run(t, world{args: "drill --yes --json --report=" + file, drill: &fakeDrill{report: disturbedReport(), err: abt2.Errorf(abt2.CodeFailed, "not back")}})
	if b, err := os.ReadFile(file); err != nil || string(b) != r.stdout || r.status != 1 {
		t.Errorf("status %d, %v, file:\n%s", r.status, err, b)
	}
	if r := run(t, world{args: "drill --yes --report=" + file + "/x", drill: &fakeDrill{report: drillReport()}}); r.status != 1 {
		t.Errorf("a report that cannot be written: status %d, %s", r.status, r.stderr)
	}
}
