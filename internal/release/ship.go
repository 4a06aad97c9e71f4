package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"abt2.dev"
)

// asked returns the session's targets that a verb on these modules is about; none means all.
func asked(sess *abt2.Session, modules []abt2.ModuleName) []*abt2.Target {
	var out []*abt2.Target
	for _, m := range slices.Sorted(maps.Keys(sess.Targets)) {
		if len(modules) == 0 || slices.Contains(modules, m) {
			out = append(out, sess.Targets[m])
		}
	}
	return out
}

// ship starts what was put beside what runs, and makes a preview of what became healthy.
func (e *Engine) ship(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	q := r.request
	var todo []abt2.VersionID
	for _, t := range asked(s.Session(q.Product), q.Modules) {
		if !t.Put.IsZero() {
			todo = append(todo, t.Put)
		}
	}
	e.mu.Lock()
	for _, v := range todo {
		if runsInPreview(s.Versions[v]) {
			e.starting[v] = true
		}
	}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, v := range todo {
			delete(e.starting, v)
		}
	}()

	failures := make([]error, len(todo))
	var group sync.WaitGroup
	for i, v := range todo {
		group.Go(func() { failures[i] = e.bringUp(ctx, r, s, v) })
	}
	group.Wait()
	if ctx.Err() != nil {
		return abt2.Outcome{}, context.Cause(ctx)
	}

	var good []abt2.VersionID
	failed := map[abt2.VersionID]string{}
	var out abt2.Outcome
	for i, v := range todo {
		if failures[i] == nil {
			good = append(good, v)
			continue
		}
		failed[v] = failures[i].Error()
		out.Failed = append(out.Failed, abt2.Failure{Version: v, Reason: failures[i].Error(), Log: e.lastLines(ctx, s.Versions[v], 20)})
	}
	s, err := e.Store.Update(ctx, func(s *abt2.State) error {
		return s.Shipped(q.Product, abt2.Actor{Now: time.Now()}, good, failed)
	})
	if err != nil {
		return out, err
	}
	// The rules hold back what would clash with a module that failed.
	for _, v := range good {
		if t := s.Session(q.Product).Targets[v.Module]; t.Failure != "" {
			failed[v] = t.Failure
			out.Failed = append(out.Failed, abt2.Failure{Version: v, Reason: t.Failure})
		}
	}
	e.mu.Lock()
	for v := range failed {
		delete(e.starting, v)
	}
	e.mu.Unlock()
	out, err = e.previewChanged(ctx, r, s, out)
	if err != nil {
		return out, err
	}
	out.Warnings = append(out.Warnings, e.awaitListed(ctx)...)
	return out, nil
}

// bringUp starts one version and waits until all its instances are healthy.
func (e *Engine) bringUp(ctx context.Context, r *run, s *abt2.State, v abt2.VersionID) error {
	ver, scale := s.Versions[v], scaleOf(s, v)
	if !runsInPreview(ver) {
		r.report(v.Module, "held", "%s is a job: it starts at commit", v)
		return nil
	}
	if err := e.placing.take(ctx); err != nil {
		return err
	}
	text := "starting %s"
	if ver.External() {
		text = "checking %s, which is external"
	}
	r.tell(abt2.Progress{Module: v.Module, Step: "start", Text: fmt.Sprintf(text, v), Total: scale})
	err := e.runVersion(ctx, s, v, scale)
	e.placing.Unlock()
	if err != nil {
		r.report(v.Module, "failed", "%s: %v", v, err)
		return err
	}
	limit := time.Duration(ver.Config.ReadyTimeout)
	errLate := fmt.Errorf("not healthy within ready_timeout %s", limit)
	wait, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	last := -1
	err = e.await(wait, func() bool {
		running := e.running(false)
		n := min(healthy(running, v), scale)
		if n != last {
			last = n
			r.tell(abt2.Progress{Module: v.Module, Step: "wait", Text: fmt.Sprintf("%s: %d of %d healthy", v, n, scale), Done: n, Total: scale})
		}
		return stands(running, ver, scale)
	})
	if err == nil {
		err = e.checkResolved(ctx, ver)
	}
	if err != nil {
		if why := e.complaint(ver); why != "" && errors.Is(err, errLate) {
			err = fmt.Errorf("%w: %s", err, why)
		}
		r.report(v.Module, "failed", "%s: %v", v, err)
		return err
	}
	r.tell(abt2.Progress{Module: v.Module, Step: "healthy", Text: fmt.Sprintf("%s is healthy", v), Done: scale, Total: scale})
	return nil
}

// complaint is what the platform says of a version's instances that are not
// healthy: of the first, and of every address of an external version.
func (e *Engine) complaint(ver *abt2.Version) string {
	var out []string
	for _, i := range e.running(false) {
		if i.Version == ver.ID && i.State != abt2.InstanceHealthy && i.Detail != "" && (ver.External() || len(out) == 0) {
			out = append(out, i.Detail)
		}
	}
	return strings.Join(out, "; ")
}

// unship takes targets out of the preview.
func (e *Engine) unship(ctx context.Context, r *run) (abt2.Outcome, error) {
	s, err := e.Store.Update(ctx, func(s *abt2.State) error {
		return s.Unshipped(r.request.Product, abt2.Actor{Now: time.Now()})
	})
	if err != nil {
		return abt2.Outcome{}, err
	}
	return e.previewChanged(ctx, r, s, abt2.Outcome{})
}

// previewChanged makes every edge know the new preview and its token, and
// takes down the one it replaced.
func (e *Engine) previewChanged(ctx context.Context, r *run, s *abt2.State, out abt2.Outcome) (abt2.Outcome, error) {
	q := r.request
	p, sess := s.Products[q.Product], s.Session(q.Product)
	out.From, out.To = p.Online, sess.Preview
	mark, err := e.publish(ctx)
	if err != nil {
		return out, err
	}
	r.report("", "confirm", "every edge learns the preview")
	ack, cancel := context.WithTimeout(ctx, q.AckTimeout)
	defer cancel()
	_ = e.await(ack, func() bool { out.Unconfirmed = e.unconfirmedEdges(mark); return len(out.Unconfirmed) == 0 })
	warnings, err := e.retire(ctx, r, q.DrainTimeout)
	out.Warnings = append(out.Warnings, warnings...)
	if err != nil {
		return out, err
	}
	out.Edges = e.confirmedEdges(mark)
	out.Cookie, out.Link = e.cookie(s, sess), e.link(s, sess)
	out.Next = nextFor(s, q.Product, q.Operator)
	switch {
	case len(out.Unconfirmed) > 0:
		again := fmt.Sprintf("abt2 %s all", q.Verb)
		if q.Verb == abt2.VerbUnpark {
			again = "abt2 refresh" // it is done: repeating it would ask nobody
		}
		return out, abt2.Errorf(abt2.CodeFailed, "the preview is up, but its cookie is not confirmed by %v; when that is back, repeat: %s --op=%s", out.Unconfirmed, again, q.Operator)
	case len(out.Failed) > 0:
		return out, shipFailed(out.Failed)
	}
	return out, nil
}

func shipFailed(failures []abt2.Failure) error {
	text := ""
	for _, f := range failures {
		text += fmt.Sprintf("\n%s: %s", f.Version, f.Reason)
		for _, l := range f.Log {
			text += "\n    " + l
		}
	}
	return abt2.Errorf(abt2.CodeFailed, "%d of the versions failed and are not in the preview, the others stay shipped; their logs: abt2 logs MODULE@V%s", len(failures), text)
}
