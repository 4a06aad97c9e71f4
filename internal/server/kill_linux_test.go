package server_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// Real processes are killed at random moments of real verbs, under load: every
// verb completes or is repeated, nothing differs afterwards, nothing runs twice,
// and no request sees two releases. ABT2_KILL_SEED repeats a run, as far as
// processes can be made to; ABT2_KILL_ROUNDS makes it longer.
func TestKilledAtRandomMoments(t *testing.T) {
	seed, rounds := uint64(time.Now().UnixNano()), uint64(1)
	for name, into := range map[string]*uint64{"ABT2_KILL_SEED": &seed, "ABT2_KILL_ROUNDS": &rounds} {
		if v := os.Getenv(name); v != "" {
			n, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			*into = n
		}
	}
	t.Logf("ABT2_KILL_SEED=%d", seed)
	for _, tc := range []struct {
		victim string
		kill   func(*siege) bool
		judge  func(*testing.T, tally)
	}{
		{"server", (*siege).killServer, func(t *testing.T, n tally) {
			if n.failed+n.cut+n.unserved > 0 {
				t.Errorf("%+v; want all answered", n)
			}
		}},
		{"edge", (*siege).killEdge, func(t *testing.T, n tally) {
			if n.failed > 0 { // those that met no edge, or lost it, were not to be saved
				t.Errorf("%+v; want none failed that met an edge", n)
			}
		}},
		{"shim", (*siege).killShim, func(t *testing.T, n tally) {
			if n.failed+n.unserved > 0 { // one cut after its first byte cannot be tried again
				t.Errorf("%+v; want none failed that could be tried again", n)
			}
		}},
	} {
		t.Run(tc.victim, func(t *testing.T) {
			s := &siege{installation: prepare(t), random: rand.New(rand.NewPCG(seed, 0)), kill: tc.kill, build: 1}
			s.server = s.startProcess()
			s.release()
			load := s.load()
			for range rounds {
				s.round()
			}
			n := load()
			t.Logf("%+v, %d kills", n, s.kills)
			if n.requests == 0 || n.mixed > 0 || s.kills == 0 {
				t.Errorf("%+v, %d kills; want none mixed", n, s.kills)
			}
			tc.judge(t, n)
		})
	}
}

// siege is an installation whose processes are killed.
type siege struct {
	*installation
	server *daemon
	random *rand.Rand
	kill   func(*siege) bool // returns whether it has
	build  int
	kills  int
}

// round releases the next build, and goes back on the way.
func (s *siege) round() {
	s.t.Helper()
	s.build++
	s.create()
	s.put("web", "order", s.build, "", false)
	s.put("order", "", s.build, "", false)
	s.besieged(abt2.VerbShip, 500*time.Millisecond)
	for _, v := range []abt2.Verb{abt2.VerbCommit, abt2.VerbRollback, abt2.VerbCommit, abt2.VerbClean} {
		s.besieged(v, 80*time.Millisecond)
	}
}

// besieged runs a verb while something is killed, and repeats it until it has
// succeeded. Then nothing differs and nothing runs twice.
func (s *siege) besieged(v abt2.Verb, latest time.Duration) {
	s.t.Helper()
	moment := time.Duration(s.random.Int64N(int64(latest)))
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var killer sync.WaitGroup
	killer.Go(func() {
		select {
		case <-time.After(moment): // of the verb: any will do
			if s.kill(s) {
				s.kills++
			}
		case <-ctx.Done():
		}
	})
	for attempt := 1; ; attempt++ {
		request := abt2.VerbRequest{By: ann, Verb: v, Product: abt2.DefaultProduct, Yes: true, AckTimeout: 2 * time.Second}
		_, err := s.api.Run(ctx, request, func(abt2.Progress) {})
		if err == nil {
			break
		}
		s.t.Logf("%s, attempt %d, something killed after %v: %v", v, attempt, moment, err)
		if ctx.Err() != nil {
			s.t.Fatalf("%s does not complete: %v", v, err)
		}
		s.revive()
		s.mend(ctx)
	}
	killer.Wait()
	s.revive()
	s.mend(ctx)
	s.nothingTwice()
}

// revive starts a killed server again, as whoever supervises it does.
func (s *siege) revive() {
	s.t.Helper()
	if _, err := s.api.Status(s.t.Context(), abt2.DefaultProduct); abt2.CodeOf(err) == abt2.CodeUnavailable {
		select {
		case <-s.server.exited:
			s.server = s.startProcess()
		case <-time.After(time.Minute):
			s.t.Fatalf("the server neither answers nor has it ended: %v", err)
		}
	}
}

// mend returns when nothing differs: abt2 mends by itself what was killed.
func (s *siege) mend(ctx context.Context) {
	s.t.Helper()
	s.until("no difference", func() bool {
		// The platform first: without a difference there the others mend themselves.
		for _, q := range []abt2.ValidateRequest{{Platform: true}, {}} {
			q.Product = abt2.DefaultProduct
			d, err := s.api.Validate(ctx, q)
			if err == nil && len(d) == 0 {
				continue
			}
			return false
		}
		return true
	})
}

func (s *siege) killServer() bool {
	return s.server.Process.Kill() == nil
}

func (s *siege) killEdge() bool {
	for _, p := range processes(s.t, s.dir) {
		if p.program == "edge" {
			return syscall.Kill(p.pid, syscall.SIGKILL) == nil
		}
	}
	return false
}

// killShim kills the keeper of an instance that is not its version's last.
func (s *siege) killShim() bool {
	status, err := s.api.Status(s.t.Context(), abt2.DefaultProduct)
	if err != nil {
		return false
	}
	healthy := map[abt2.VersionID][]abt2.InstanceID{}
	for _, i := range status.Instances {
		if i.State == abt2.InstanceHealthy {
			healthy[i.Version] = append(healthy[i.Version], i.ID)
		}
	}
	var spare []abt2.InstanceID
	for _, list := range healthy {
		if len(list) > 1 {
			spare = append(spare, list...)
		}
	}
	if len(spare) == 0 {
		return false
	}
	slices.Sort(spare)
	pid, alive, err := shimpb.Keeper(filepath.Join(s.dir, "platform", "instances", string(spare[s.random.IntN(len(spare))])))
	return err == nil && alive && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// nothingTwice returns when there run one edge, and one shim and one program for
// each instance: what was killed is somebody else's to collect, and a server that
// was killed in the middle of a clean takes down what is left after it has answered.
func (s *siege) nothingTwice() {
	s.t.Helper()
	var got, want []string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("there run    %v\nthere should %v", got, want)
		}
	}()
	s.until("one of each", func() bool {
		got, want = nil, []string{"edge "}
		for _, p := range processes(s.t, s.dir) {
			if p.program != "server" {
				got = append(got, p.program+" "+p.instance)
			}
		}
		status, err := s.api.Status(s.t.Context(), abt2.DefaultProduct)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, i := range status.Instances {
			want = append(want, "module "+string(i.ID), "shim "+string(i.ID))
		}
		slices.Sort(got)
		slices.Sort(want)
		return slices.Equal(got, want)
	})
}

// program is a process of an installation.
type program struct {
	pid      int
	program  string // server, edge, shim or module
	instance string
}

// processes lists the programs that work in a data folder, by proc(5).
func processes(t testing.TB, dir string) []program {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var out []program
	for _, f := range files {
		command, err1 := os.ReadFile(f)
		environ, err2 := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
		args := strings.Split(string(command), "\x00")
		if err1 != nil || err2 != nil || len(args) < 3 {
			continue // ended meanwhile
		}
		p := program{program: args[1]}
		if p.pid, err = strconv.Atoi(filepath.Base(filepath.Dir(f))); err != nil {
			t.Fatal(err)
		}
		switch at := strings.TrimPrefix(args[2], "--dir="); {
		case p.program == "module" && strings.Contains(string(environ), "ABT2_STATE="+dir+"/"):
			_, rest, _ := strings.Cut(string(environ), "ABT2_INSTANCE=")
			p.instance, _, _ = strings.Cut(rest, "\x00")
		case p.program == "shim" && strings.HasPrefix(at, dir+"/"):
			p.instance = filepath.Base(at)
		case p.program == "edge" && strings.HasPrefix(at, dir+"/"), p.program == "server" && at == dir:
		default:
			continue
		}
		out = append(out, p)
	}
	return out
}

// tally tells how requests went.
type tally struct {
	requests int
	failed   int // answered with an error
	unserved int // the edge did not take it, or broke off before it answered
	cut      int // broken off after its first byte
	mixed    int // saw two releases
}

// load asks for the page, 400 times a second where that is answered, until the
// function it returns is called.
func (s *siege) load() func() tally {
	var mu sync.Mutex
	var n tally
	page := s.edge + "/"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // nothing is tried again on the quiet
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				hops, err := hopsOf(context.Background(), client, page, "")
				var lost *url.Error
				mu.Lock()
				n.requests++
				switch {
				case errors.As(err, &lost):
					n.unserved++
				case err != nil && strings.HasPrefix(err.Error(), "status "):
					n.failed++
				case err != nil:
					n.cut++
				case slices.ContainsFunc(hops, func(h hop) bool { return h.Environment != hops[0].Environment || release(h) != release(hops[0]) }):
					n.mixed++
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
					s.t.Logf("%v: %v", time.Now().Format(time.StampMilli), err)
				}
			}
		})
	}
	return func() tally {
		cancel()
		group.Wait()
		return n
	}
}

// release is which build a hop was: all modules are released together.
func release(h hop) string {
	_, n, _ := strings.Cut(h.Version, "@")
	return n
}
