package release_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"abt2.dev"
)

// inTrial runs fn in a world with a release online and the next one shipped,
// and checks in the end that nothing is left and users have not noticed.
func inTrial(t *testing.T, fn func(w *trial)) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrial(t)
		second(abt2.VerbShip)(w)
		w.quiet()
		fn(w)
		w.quiet()
		w.check()
	})
}

// runs reports whether anything of the version runs.
func (w *trial) runs(module abt2.ModuleName, n uint64) bool {
	w.t.Helper()
	all, err := w.platform.Instances(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range all {
		if i.Version == (abt2.VersionID{Module: module, Number: n}) {
			return true
		}
	}
	return false
}

func (w *trial) product() *abt2.Product { return w.state().Products[abt2.DefaultProduct] }

func TestAnEdgeCutOffDuringPrepareKeepsUsersWhereTheyAre(t *testing.T) {
	inTrial(t, func(w *trial) {
		before := w.product().Online
		w.gateway.cutOff(true, 0)
		_, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
		if abt2.CodeOf(err) != abt2.CodeUnconfirmed || !strings.Contains(err.Error(), "edge-1") {
			t.Errorf("commit: %v; want unconfirmed, naming the edge", err)
		}
		if p := w.product(); p.Online != before || p.Intent != nil {
			t.Errorf("after it: %+v; want %d online as before and no intent", p, before)
		}
		w.gateway.cutOff(false, 0)
		w.run(abt2.VerbCommit)
	})
}

func TestHundredsWhoLagAreNotAllNamedInASentence(t *testing.T) {
	inTrial(t, func(w *trial) {
		for i := range 300 {
			w.routers.join(fmt.Sprintf("relay-%d", 1000+i), false, true)
		}
		defer func() {
			for i := range 300 {
				w.routers.leave(fmt.Sprintf("relay-%d", 1000+i))
			}
		}()
		out, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
		if abt2.CodeOf(err) != abt2.CodeUnconfirmed || len(out.Unconfirmed) != 300 || !strings.Contains(err.Error(), "relay-1000 (") || !strings.Contains(err.Error(), "and 292 more") {
			t.Errorf("commit: %d unconfirmed, %v; want 300, and 8 of them named", len(out.Unconfirmed), err)
		}
	})
}

func TestAnEdgeCutOffDuringTheFlipFollowsWhenItIsBack(t *testing.T) {
	inTrial(t, func(w *trial) {
		target := w.state().Session(abt2.DefaultProduct).Preview
		w.gateway.cutOff(true, 1) // the prepared table still reaches it
		out, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
		if err != nil || len(out.Unconfirmed) != 1 || out.Edges != 0 {
			t.Errorf("commit: %+v, %v; want it done, with one edge unconfirmed", out, err)
		}
		if p := w.product(); p.Online != target {
			t.Errorf("environment %d is online, want %d: the flip is the point of no return", p.Online, target)
		}
		again, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
		if err != nil || !again.Same || len(again.Unconfirmed) != 1 {
			t.Errorf("commit again: %+v, %v; want it done already, with the edge still unconfirmed", again, err)
		}
		w.gateway.cutOff(false, 0)
		if again, err = w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil); err != nil || !again.Same || len(again.Unconfirmed) != 0 {
			t.Errorf("commit, once the edge is back: %+v, %v; want it done already, and confirmed", again, err)
		}
	})
}

func TestAnEdgeCutOffDuringTheFlipCanBeRolledBack(t *testing.T) {
	inTrial(t, func(w *trial) {
		before := w.product().Online
		w.gateway.cutOff(true, 1)
		w.run(abt2.VerbCommit, abt2.VerbRollback)
		if p := w.product(); p.Online != before {
			t.Errorf("environment %d is online, want %d", p.Online, before)
		}
		w.gateway.cutOff(false, 0)
	})
}

func TestAnEdgeCutOffDuringCleanKeepsWhatItSendsTo(t *testing.T) {
	inTrial(t, func(w *trial) {
		w.run(abt2.VerbCommit)
		w.gateway.cutOff(true, 0)
		out, err := w.engine.Run(context.Background(), verb(abt2.VerbClean), nil)
		if err != nil || len(out.Warnings) == 0 {
			t.Errorf("clean: %+v, %v; want it done, with a warning", out, err)
		}
		time.Sleep(time.Hour)
		if !w.runs("web", 1) || !w.runs("order", 1) {
			t.Error("an edge that nobody reaches may still send to the backup, and it has ended")
		}
		w.gateway.cutOff(false, 0)
		w.quiet()
		if w.runs("web", 1) || w.runs("order", 1) {
			t.Error("the backup still runs although the edge is back")
		}
	})
}

// atTheFlip calls fn when a commit has been confirmed by all that it waits for,
// and is about to become the point of no return.
func (w *trial) atTheFlip(fn func()) {
	var once sync.Once
	prepared := w.routers.applied()
	before := func(call string) {
		if call == "Store.Update" && w.routers.applied() != prepared {
			once.Do(fn)
		}
	}
	w.before.Store(&before)
}

func TestARouterThatJoinsBetweenPrepareAndFlip(t *testing.T) {
	for _, tt := range []struct {
		name          string
		stamper, hung bool
		unconfirmed   int
	}{
		{"follows", true, false, 0},
		{"hangs, and stamps", true, true, 1},
		{"hangs, and never stamps", false, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTrial(t, func(w *trial) {
				joined := false
				w.atTheFlip(func() {
					joined = true
					w.routers.join("order-1-7", tt.stamper, tt.hung)
				})
				target := w.state().Session(abt2.DefaultProduct).Preview
				out, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
				w.before.Store(nil)
				if err != nil || !joined || w.product().Online != target {
					t.Fatalf("commit: %+v, %v, joined %t; want it done with the router there", out, err, joined)
				}
				if len(out.Unconfirmed) != tt.unconfirmed {
					t.Errorf("unconfirmed: %v, want %d", out.Unconfirmed, tt.unconfirmed)
				}
				for _, who := range out.Unconfirmed {
					if !strings.Contains(who, "order-1-7") {
						t.Errorf("unconfirmed: %s, want the one that joined", who)
					}
				}
				w.routers.leave("order-1-7")
			})
		})
	}
}

func TestARestartedServerPublishesNothingBeforeInstancesAreFound(t *testing.T) {
	inTrial(t, func(w *trial) {
		w.end()
		speak := w.watched.hush()
		before := w.routers.applied()
		w.start(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case <-w.engine.Ready():
			t.Error("ready, and the platform has not answered")
		default:
		}
		if _, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil); abt2.CodeOf(err) != abt2.CodeUnavailable {
			t.Errorf("commit: %v, want unavailable", err)
		}
		if got := w.routers.applied(); got != before {
			t.Errorf("%v was published, and the platform has not answered; before: %v", got, before)
		}
		speak()
	})
}

// An instance that cannot be asked right after a restart keeps its place as one
// that cannot be asked later does: it is not known to have ended.
func TestARestartedServerKeepsInstancesItCannotAsk(t *testing.T) {
	inTrial(t, func(w *trial) {
		all, err := w.platform.Instances(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		w.end()
		for _, i := range all {
			w.platform.SetUnreachable(i.ID, true)
		}
		w.start(nil)
		w.quiet() // the gateway blames a table without instances
		for _, i := range all {
			w.platform.SetUnreachable(i.ID, false)
		}
	})
}

func TestAJobThatTakesAnHourToEnd(t *testing.T) {
	inTrial(t, func(w *trial) {
		w.watched.takesToEnd(time.Hour)
		begun := time.Now()
		out, err := w.engine.Run(context.Background(), verb(abt2.VerbCommit), nil)
		if err != nil || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "not settled") {
			t.Errorf("commit: %+v, %v; want it done, with a warning that it is not settled", out, err)
		}
		if took := time.Since(begun); took > 31*time.Second {
			t.Errorf("commit took %s; it waits for the settle timeout of 30 s", took)
		}
		if !w.runs("report", 1) || w.runs("report", 2) {
			t.Error("the new job runs beside the old one")
		}
		if _, err := w.engine.Run(context.Background(), verb(abt2.VerbClean), nil); abt2.CodeOf(err) != abt2.CodeRefused {
			t.Errorf("clean: %v, want refused: not settled", err)
		}
		time.Sleep(time.Hour)
		w.quiet() // the engine keeps at it
		if w.runs("report", 1) || !w.runs("report", 2) || w.product().Unsettled {
			t.Errorf("an hour later: %+v; want the new job alone, and settled", w.product())
		}
		w.watched.takesToEnd(0)
		w.run(abt2.VerbClean)
	})
}

func TestRollbackWhileAJobTakesAnHourToEnd(t *testing.T) {
	inTrial(t, func(w *trial) {
		before := w.product().Online
		w.watched.takesToEnd(time.Hour)
		w.run(abt2.VerbCommit)
		begun := time.Now()
		out, err := w.engine.Run(context.Background(), verb(abt2.VerbRollback), nil)
		if err != nil || w.product().Online != before || out.Switched > time.Second {
			t.Errorf("rollback: %+v, %v; want users back at once", out, err)
		}
		if took := time.Since(begun); took > 31*time.Second {
			t.Errorf("rollback took %s; it waits for the settle timeout of 30 s", took)
		}
		w.quiet()
		if !w.runs("report", 1) || w.runs("report", 2) {
			t.Error("want the old job alone")
		}
	})
}
