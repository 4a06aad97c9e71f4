package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// TestUpgradeFromThePreviousRelease: this release's server takes over what the
// previous one has left, data folder, edge, shims and modules with its SDK, and
// users notice nothing of it. ABT2_UPGRADE_RATE is how many requests they send a second.
func TestUpgradeFromThePreviousRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds another release")
	}
	p := buildPrevious(t)
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
	load := in.underRate(upgradeRate(t))

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
	requests, failed, mixed := load()
	if failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	t.Logf("from %s: %d requests, %d failed, %d mixed", p.revision, requests, failed, mixed)
	if got := in.page(""); got != "[{web@2 3} {order@2 3}]" {
		t.Errorf("users see %s", got)
	}
}

// running tells which instances run where.
func running(s abt2.Status) string {
	var out []string
	for _, i := range s.Instances {
		out = append(out, fmt.Sprint(i.ID, " ", i.Address, " ", i.State, " ", i.Restarts))
	}
	return strings.Join(out, ", ")
}

func upgradeRate(t *testing.T) int {
	t.Helper()
	s, ok := os.LookupEnv("ABT2_UPGRADE_RATE")
	if !ok {
		return 200
	}
	rate, err := strconv.Atoi(s)
	if err != nil || rate <= 0 {
		t.Fatalf("ABT2_UPGRADE_RATE %q: must be a number of requests a second", s)
	}
	return rate
}

// underRate asks for the page that often a second, whether answers come or not,
// until the function it returns is called, which tells how that went.
func (in *installation) underRate(rate int) func() (requests, failed, mixed int64) {
	var group sync.WaitGroup
	var c count
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	client := &http.Client{Transport: transport}
	page := in.edge + "/"
	group.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				group.Go(func() { c.ask(in.t, client, page) })
			}
		}
	})
	return func() (int64, int64, int64) {
		cancel()
		group.Wait()
		transport.CloseIdleConnections()
		return c.requests.Load(), c.failed.Load(), c.mixed.Load()
	}
}
