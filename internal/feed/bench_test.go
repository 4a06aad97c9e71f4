package feed_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
)

// BenchmarkFeed publishes tables of a product of 100 modules to routers in
// another process of this machine, each with a connection of its own. Every
// publication moves the online pointer, as a switch does. Reported are how long
// after its publication a table counts as confirmed by half of the routers and
// by 99 of 100, over all publications, and the memory that the server holds
// more than without routers, for each of them.
func BenchmarkFeed(b *testing.B) {
	for _, n := range []int{1000, 4000, 10000} {
		b.Run(fmt.Sprintf("routers=%d", n), func(b *testing.B) { benchmarkFeed(b, n) })
	}
}

func benchmarkFeed(b *testing.B, routers int) {
	const publications = 10
	s := start(b)
	revision := uint64(1)
	s.Publish(fleetTable(revision))
	before := held(b)
	s.startFleet(b, routers)
	s.confirmed(b, fleetTable(revision).Mark)
	var times []time.Duration
	cpu := cpuTime(b)
	for b.Loop() {
		for range publications {
			revision++
			times = append(times, s.publishTimed(b, fleetTable(revision))...)
		}
	}
	cpu = cpuTime(b) - cpu
	after := held(b)
	slices.Sort(times)
	b.ReportMetric(milliseconds(times[len(times)/2]), "p50-ms")
	b.ReportMetric(milliseconds(times[len(times)*99/100]), "p99-ms")
	b.ReportMetric(float64(cpu.Microseconds())/float64(len(times)), "cpu-µs/confirmation")
	b.ReportMetric((float64(after)-float64(before))/1000/float64(routers), "KB/router")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// held is the memory that this process holds and cannot give back.
func held(b *testing.B) uint64 {
	runtime.GC() // once more than FreeOSMemory does: pools are emptied by the second
	debug.FreeOSMemory()
	n, err := resident()
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuTime is what this process has used of the processors, which a busy machine
// does not blur.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// publishTimed returns how long after its publication each router had confirmed the table.
func (s *server) publishTimed(b *testing.B, t abt2.Table) []time.Duration {
	const resolution = 2 * time.Millisecond // looking at all of them costs the server time too
	late := s.Waiting()
	out := make([]time.Duration, 0, len(late))
	began := time.Now()
	s.Publish(t)
	for deadline := began.Add(time.Minute); len(late) > 0; {
		if time.Now().After(deadline) {
			b.Fatalf("%d routers have not confirmed revision %d", len(late), t.Mark.Revision)
		}
		n := len(late)
		late = s.Still(late, t.Mark)
		now := time.Since(began)
		for range n - len(late) {
			out = append(out, now)
		}
		if len(late) > 0 {
			time.Sleep(resolution)
		}
	}
	return out
}

func (s *server) confirmed(t testing.TB, mark abt2.Mark) {
	t.Helper()
	if err := s.WaitApplied(t.Context(), mark, nil); err != nil {
		t.Fatal(err)
	}
}

// fleetTable is a product of 100 modules in three environments, of two instances
// each. The revision decides which is online.
func fleetTable(revision uint64) abt2.Table {
	t := abt2.Table{Mark: abt2.Mark{Epoch: "e", Revision: revision}, HighestEnvironment: 3}
	online := abt2.EnvironmentID(1 + revision%2)
	t.Products = []abt2.TableProduct{{Name: "default", Online: online, Backup: 3 - online, Preview: 3}}
	for id := range abt2.EnvironmentID(3) {
		e := abt2.TableEnvironment{ID: id + 1, Product: "default"}
		for m := range 100 {
			e.Modules = append(e.Modules, abt2.VersionID{Module: abt2.ModuleName(fmt.Sprintf("module-%02d", m)), Number: uint64(id) + 1})
		}
		t.Environments = append(t.Environments, e)
	}
	for _, v := range t.Environments[0].Modules {
		for n := range uint64(3) {
			v.Number = n + 1
			t.Versions = append(t.Versions, abt2.TableVersion{ID: v, Kind: abt2.KindService, Instances: []abt2.TableInstance{
				{ID: abt2.InstanceID(v.String() + "-a"), Address: "10.0.0.1:20001"}, {ID: abt2.InstanceID(v.String() + "-b"), Address: "10.0.0.2:20001"},
			}})
		}
	}
	return t
}
