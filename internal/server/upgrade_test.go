package server_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// TestUpgradeFromThePreviousRelease: this release's server takes over what an
// earlier one has left, data folder, edge, shims and modules with its SDK, and
// users notice nothing of it.
func TestUpgradeFromThePreviousRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds another release")
	}
	for _, revision := range previousReleases(t) {
		t.Run(revision, func(t *testing.T) { upgradeUnder(t, 200, buildPrevious(t, revision)) })
	}
}

// BenchmarkUpgrade is that of the newest of them under more load.
func BenchmarkUpgrade(b *testing.B) {
	revisions := previousReleases(b)
	p := buildPrevious(b, revisions[len(revisions)-1])
	for b.Loop() {
		n := upgradeUnder(b, 1000, p)
		b.ReportMetric(float64(n.requests), "requests")
		b.ReportMetric(float64(n.requests)/n.took.Seconds(), "requests/s")
		b.ReportMetric(float64(n.failed), "failed")
		b.ReportMetric(float64(n.mixed), "mixed")
	}
}

// upgradeUnder upgrades from p while users ask that often a second.
func upgradeUnder(t testing.TB, rate int, p previous) served {
	in := prepare(t)
	ours := in.command
	stop := in.startPrevious(p)
	in.command = p.module
	in.release()
	edge := edgectl.NewClient(filepath.Join(in.dir, "edge"))
	edgeBefore, err := edge.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil {
		t.Fatal(err)
	}
	load := in.underRate(rate)

	stop()
	in.command = ours
	in.start()
	in.noDifference()
	after, err := in.api.Status(t.Context(), abt2.DefaultProduct)
	if err != nil || running(before) != running(after) {
		t.Errorf("instances were %s, are %s; %v", running(before), running(after), err)
	}
	edgeAfter, err := edge.Describe(t.Context())
	if err != nil || edgeAfter.Addresses[0] != edgeBefore.Addresses[0] {
		t.Fatalf("the edge is at %v, was at %v; %v", edgeAfter.Addresses, edgeBefore.Addresses, err)
	}
	said := strings.Contains(read(t, filepath.Join(in.dir, "server.log")), "stays as it is")
	if handed := !edgeAfter.Started.Equal(edgeBefore.Started); handed != p.handsOn || said == p.handsOn {
		t.Errorf("an edge that hands over (%t): a new process %t, and the server says that it stays %t", p.handsOn, handed, said)
	}

	// Both SDKs, both shims and the edge together.
	in.create()
	in.put("web", "order", 2, "", false)
	in.command = p.module
	in.put("order", "", 2, "", false)
	cookie := in.verb(abt2.VerbShip).Cookie
	if got := in.page(cookie); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("the cookie shows %s", got)
	}
	for range 2 {
		in.verb(abt2.VerbCommit)
		in.verb(abt2.VerbRollback)
	}
	in.verb(abt2.VerbCommit)
	in.verb(abt2.VerbClean) // ends instances that old shims keep
	in.noDifference()
	n := load()
	if n.failed > 0 || n.mixed > 0 || n.requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", n.requests, n.failed, n.mixed)
	}
	t.Logf("from %s: %d requests, %d failed, %d mixed", p.revision, n.requests, n.failed, n.mixed)
	if got := in.page(""); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("users see %s", got)
	}
	return n
}

// running tells which instances run where.
func running(s abt2.Status) string {
	var out []string
	for _, i := range s.Instances {
		out = append(out, fmt.Sprint(i.ID, " ", i.Address, " ", i.State, " ", i.Restarts))
	}
	return strings.Join(out, ", ")
}

// served is what became of requests.
type served struct {
	requests, failed, mixed int64
	took                    time.Duration
}

// underRate asks for the page that often a second, whether answers come or not,
// until the function it returns is called, which tells how that went.
func (in *installation) underRate(rate int) func() served {
	var group sync.WaitGroup
	var c count
	begun := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	client := &http.Client{Transport: transport}
	page := in.edge + "/"
	group.Go(func() {
		for slot := 0; ; slot++ {
			due := time.NewTimer(time.Until(begun.Add(time.Duration(slot) * time.Second / time.Duration(rate))))
			select {
			case <-ctx.Done():
				due.Stop()
				return
			case <-due.C: // at once where we are late: none is left out
				group.Go(func() { c.ask(in.t, client, page) })
			}
		}
	})
	return func() served {
		cancel()
		took := time.Since(begun)
		group.Wait()
		transport.CloseIdleConnections()
		return served{c.requests.Load(), c.failed.Load(), c.mixed.Load(), took}
	}
}
