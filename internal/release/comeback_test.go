package release_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"abt2.dev"
	"abt2.dev/internal/driver/fake"
)

// rebooted is a platform whose machine has just started: nothing runs. It
// writes down what is started, and refuses some of it.
type rebooted struct {
	*fake.Platform

	mu      sync.Mutex
	refuse  abt2.VersionID
	started []string
}

func (p *rebooted) Apply(ctx context.Context, w abt2.Workload) error {
	p.mu.Lock()
	p.started = append(p.started, w.Version.ID.String())
	refused := w.Version.ID == p.refuse
	p.mu.Unlock()
	if refused {
		return abt2.Errorf(abt2.CodeFailed, "refused")
	}
	return p.Platform.Apply(ctx, w)
}

// accept refuses nothing any more.
func (p *rebooted) accept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = abt2.VersionID{}
}

// reboot ends the engine and all instances, and starts the engine again.
func (w *trial) reboot(refuse abt2.VersionID) *rebooted {
	w.end()
	p := &rebooted{Platform: fake.NewPlatform(), refuse: refuse}
	w.platform, w.watched.Platform = p.Platform, p.Platform
	w.gateway.had = map[abt2.VersionID]bool{} // users have noticed the reboot
	w.applies = p
	w.start(nil)
	return p
}

func TestAMachineThatStartsBringsBackOnlineThenBackupThenPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrial(t)
		second(abt2.VerbShip, abt2.VerbCommit)(w) // online web@2 …, backup web@1 …
		p := w.reboot(abt2.VersionID{})
		w.quiet()
		w.check()
		if len(p.started) < 5 {
			t.Fatalf("started %v", p.started)
		}
		var generations []string
		for _, v := range p.started[:5] {
			generations = append(generations, v[strings.IndexByte(v, '@'):])
		}
		if want := []string{"@2", "@2", "@2", "@1", "@1"}; !slices.Equal(generations, want) { // the backup's job does not run
			t.Errorf("started in the order %v; want online, of generation 2, before the backup", p.started)
		}
		if s := w.status(); len(s.Missing) > 0 {
			t.Errorf("missing: %+v", s.Missing)
		}
	})
}

func TestOneVersionThatDoesNotStartKeepsNoOtherFromComingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTrial(t)
		second()(w)
		sick := abt2.VersionID{Module: "order", Number: 1}
		p := w.reboot(sick)
		w.calm()
		if !w.runs("web", 1) || !w.runs("report", 1) || w.runs("order", 1) {
			t.Errorf("started %v; want all but %s to run", p.started, sick)
		}
		s := w.status()
		if len(s.Missing) != 1 || s.Missing[0] != (abt2.Shortage{Version: sick, Role: abt2.RoleOnline, Healthy: 0, Want: 2}) {
			t.Errorf("missing: %+v, want %s alone", s.Missing, sick)
		}
		p.accept()
		w.quiet()
		if s := w.status(); len(s.Missing) > 0 {
			t.Errorf("missing once it can be started: %+v", s.Missing)
		}
	})
}

func (w *trial) status() abt2.Status {
	w.t.Helper()
	s, err := w.engine.Status(context.Background(), abt2.DefaultProduct)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
