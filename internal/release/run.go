package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"abt2.dev"
)

// run is one verb at work. Any number of callers may follow it; it goes on
// when they leave.
type run struct {
	request abt2.VerbRequest
	actor   abt2.Actor
	cancel  context.CancelCauseFunc
	begun   time.Time
	stopped bool          // a commit was cancelled in favour of this rollback
	done    chan struct{} // closed once outcome and err stand

	asking  context.Context         // ends when hooks are no longer waited for
	noHooks context.CancelCauseFunc // ends it
	call    abt2.HookCall           // what hooks are told; zero until the verb has begun

	mu      sync.Mutex
	events  []abt2.Progress
	more    signal
	outcome abt2.Outcome
	err     error
}

// errSuperseded ends a commit in favour of a rollback.
var errSuperseded = errors.New("superseded by rollback")

func (r *run) report(module abt2.ModuleName, step, format string, args ...any) {
	r.tell(abt2.Progress{Module: module, Step: step, Text: fmt.Sprintf(format, args...)})
}

func (r *run) tell(p abt2.Progress) {
	r.mu.Lock()
	r.events = append(r.events, p)
	r.mu.Unlock()
	r.more.fire()
}

// follow passes on everything the verb has reported and reports until it ends.
func (r *run) follow(ctx context.Context, progress func(abt2.Progress)) (abt2.Outcome, error) {
	for seen := 0; ; {
		more := r.more.wait()
		r.mu.Lock()
		fresh := r.events[seen:]
		r.mu.Unlock()
		seen += len(fresh)
		for _, p := range fresh {
			progress(p)
		}
		select {
		case <-r.done:
			r.mu.Lock()
			fresh := r.events[seen:]
			r.mu.Unlock()
			for _, p := range fresh {
				progress(p)
			}
			return r.outcome, r.err
		default:
		}
		select {
		case <-r.done:
		case <-more:
		case <-ctx.Done():
			return abt2.Outcome{}, abt2.Wrap(abt2.CodeUnavailable, context.Cause(ctx), "detached; %s goes on in the server: repeat the command to attach again", r.request.Verb)
		}
	}
}

// same reports whether a request asks for what the run does already.
func (r *run) same(q abt2.VerbRequest) bool {
	return r.request.Verb == q.Verb && r.request.Operator == q.Operator && r.request.Session == q.Session && r.request.Share == q.Share &&
		slices.Equal(r.request.Modules, q.Modules) && slices.Equal(r.request.Instances, q.Instances)
}

// Run implements abt2.Service.
func (e *Engine) Run(ctx context.Context, q abt2.VerbRequest, progress func(abt2.Progress)) (abt2.Outcome, error) {
	if err := e.checkReady(); err != nil {
		return abt2.Outcome{}, err
	}
	if progress == nil {
		progress = func(abt2.Progress) {}
	}
	slices.Sort(q.Modules)
	q.Modules = slices.Compact(q.Modules)
	slices.Sort(q.Instances)
	q.Instances = slices.Compact(q.Instances)
	q.AckTimeout = orDefault(q.AckTimeout, 10*time.Second)
	q.SettleTimeout = orDefault(q.SettleTimeout, 30*time.Second)
	q.DrainTimeout = orDefault(q.DrainTimeout, 30*time.Second)
	if q.NoHooks && q.Verb != abt2.VerbRollback {
		return abt2.Outcome{}, abt2.Errorf(abt2.CodeInvalid, "--no-hooks: is for rollback alone, which must not be kept waiting; %s asks its hooks", q.Verb)
	}
	if q.Share != 0 && q.Verb != abt2.VerbCommit {
		return abt2.Outcome{}, abt2.Errorf(abt2.CodeInvalid, "--share: is for commit alone; %s is for all visitors", q.Verb)
	}
	if q.DryRun {
		return e.dryRun(ctx, q)
	}
	r, err := e.attach(ctx, q)
	if err != nil {
		return abt2.Outcome{}, err
	}
	return r.follow(ctx, progress)
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

func actor(ctx context.Context, by abt2.By) abt2.Actor {
	return abt2.Actor{Operator: by.Operator, Takeover: by.Takeover, Identity: abt2.IdentityOf(ctx), Now: time.Now()}
}

// attach returns the run of the verb: the one at work, or a new one. A rollback
// ends a commit that is at work and takes its place.
func (e *Engine) attach(ctx context.Context, q abt2.VerbRequest) (*run, error) {
	stopped := false
	for {
		e.mu.Lock()
		current := e.runs[q.Product]
		if current == nil {
			r := e.launch(ctx, q, stopped)
			e.mu.Unlock()
			return r, nil
		}
		e.mu.Unlock()
		switch {
		case current.same(q):
			if q.NoHooks {
				current.noHooks(errNoHooks)
			}
			return current, nil
		case q.Verb == abt2.VerbRollback && current.request.Verb == abt2.VerbCommit && (current.request.Operator == q.Operator || q.Takeover):
			current.cancel(errSuperseded)
			stopped = true
			select {
			case <-current.done:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		default:
			return nil, abt2.Errorf(abt2.CodeRefused, "%s by %s is at work on %s; wait for it: abt2 status", current.request.Verb, current.request.Operator, q.Product)
		}
	}
}

// launch starts the verb under the engine's own context. The caller holds e.mu.
func (e *Engine) launch(ctx context.Context, q abt2.VerbRequest, stopped bool) *run {
	work, cancel := context.WithCancelCause(e.work)
	r := &run{request: q, actor: actor(ctx, q.By), begun: time.Now(), cancel: cancel, stopped: stopped, done: make(chan struct{})}
	r.asking, r.noHooks = context.WithCancelCause(work)
	if q.NoHooks {
		r.noHooks(errNoHooks)
	}
	e.runs[q.Product] = r
	e.verb.Go(func() {
		r.outcome, r.err = e.perform(work, r)
		r.outcome.Verb = q.Verb
		e.mu.Lock()
		delete(e.runs, q.Product)
		e.mu.Unlock()
		close(r.done)
		cancel(nil)
		e.pokeKeeper()
		if e.work.Err() == nil && r.call.Verb != "" && len(e.hooksOf(abt2.HookAfter, q)) > 0 {
			e.tellHooks(r)
		}
	})
	return r
}

// perform begins the verb, does it, and takes its intent away again. When the
// engine ends in between, the intent stays for the next one.
func (e *Engine) perform(ctx context.Context, r *run) (abt2.Outcome, error) {
	q := r.request
	var done *abt2.Outcome
	s, err := e.Store.Update(ctx, func(s *abt2.State) error {
		// This run is the product's only one, so an intent in the store is of a
		// verb that has ended without an answer from the store.
		s.End(q.Product)
		if done = e.alreadyDone(s, r); done != nil {
			return nil
		}
		if err := beginVerb(s, r); err != nil {
			return err
		}
		return e.checkVerb(s, q)
	})
	switch {
	case err != nil:
		return abt2.Outcome{}, err
	case done != nil:
		return e.confirmAgain(ctx, r, *done)
	}
	var out abt2.Outcome
	if s, err = e.askHooks(ctx, r, s); err == nil {
		out, err = e.carryOut(ctx, r, s)
	}
	if e.work.Err() != nil {
		return out, abt2.Wrap(abt2.CodeUnavailable, context.Cause(e.work), "the server ended while %s was at work; start it and repeat the command", q.Verb)
	}
	if errors.Is(context.Cause(ctx), errSuperseded) {
		err = abt2.Wrap(abt2.CodeRefused, err, "%s was %v", q.Verb, errSuperseded)
	}
	// A superseded verb has a cancelled context, and must still leave cleanly.
	_, endErr := e.Store.Update(context.WithoutCancel(ctx), func(s *abt2.State) error { s.End(q.Product); return nil })
	return out, errors.Join(err, endErr)
}

// beginVerb records the intent of the run's verb.
func beginVerb(s *abt2.State, r *run) error {
	switch q := r.request; {
	case q.Verb == abt2.VerbUnpark:
		return s.BeginUnpark(q.Product, r.actor, q.Session)
	case q.Share != 0:
		return s.BeginShare(q.Product, r.actor, q.Share)
	default:
		return s.Begin(q.Product, r.actor, q.Verb, q.Modules)
	}
}

// carryOut takes the steps of the verb.
func (e *Engine) carryOut(ctx context.Context, r *run, s *abt2.State) (abt2.Outcome, error) {
	switch r.request.Verb {
	case abt2.VerbShip:
		return e.ship(ctx, r, s)
	case abt2.VerbUnship:
		return e.unship(ctx, r)
	case abt2.VerbCommit:
		if r.request.Share != 0 {
			return e.shareOut(ctx, r, s)
		}
		return e.commit(ctx, r, s)
	case abt2.VerbRollback:
		if s.Session(r.request.Product).Share != 0 {
			return e.takeShareBack(ctx, r, s)
		}
		return e.rollback(ctx, r, s)
	case abt2.VerbClean:
		return e.clean(ctx, r, s)
	case abt2.VerbRefresh:
		return e.refresh(ctx, r)
	case abt2.VerbScale:
		return e.scale(ctx, r)
	case abt2.VerbPark:
		return e.park(ctx, r, s)
	case abt2.VerbUnpark:
		return e.unpark(ctx, r)
	case abt2.VerbInstanceStart:
		return e.startInstances(ctx, r)
	case abt2.VerbInstanceStop:
		return e.stopInstances(ctx, r)
	case abt2.VerbInstanceRestart:
		return e.restartInstances(ctx, r)
	}
	return abt2.Outcome{}, abt2.Errorf(abt2.CodeInvalid, "verb %q: is unknown", r.request.Verb)
}

// alreadyDone answers a verb that the state shows to be done. Nil: it is not.
func (e *Engine) alreadyDone(s *abt2.State, r *run) *abt2.Outcome {
	q := r.request
	p, sess := s.Products[q.Product], s.Session(q.Product)
	if p == nil || p.Intent != nil {
		return nil
	}
	if sess != nil && sess.Operator != q.Operator {
		return nil
	}
	is := func(from, to abt2.EnvironmentID, next string) *abt2.Outcome {
		return &abt2.Outcome{Same: true, From: from, To: to, Next: next, Cookie: e.cookie(s, sess), Link: e.link(s, sess)}
	}
	switch {
	case q.Share != 0:
		if sess == nil || sess.Share != q.Share || sess.State != abt2.SessionOpen {
			return nil
		}
		out := is(p.Online, sess.Preview, nextFor(s, q.Product, q.Operator))
		out.Share = sess.Share
		return out
	case q.Verb == abt2.VerbRollback && sess != nil && sess.Share != 0:
		return nil
	case q.Verb == abt2.VerbClean && sess == nil && q.Operator != "":
		return is(p.Online, p.Online, nextFor(s, q.Product, q.Operator))
	case q.Verb == abt2.VerbCommit && sess != nil && sess.State == abt2.SessionCommitted:
		return is(p.Backup, p.Online, nextFor(s, q.Product, q.Operator))
	case q.Verb == abt2.VerbRollback && sess != nil && sess.State == abt2.SessionOpen && r.stopped:
		out := is(p.Online, p.Online, nextFor(s, q.Product, q.Operator))
		out.Warnings = []string{"the commit was cancelled before its switch: users saw nothing of it"}
		return out
	case q.Verb == abt2.VerbRollback && sess != nil && sess.State == abt2.SessionOpen && sess.WasOnline != 0:
		return is(sess.WasOnline, p.Online, nextFor(s, q.Product, q.Operator))
	case q.Verb == abt2.VerbUnpark && unparkedAlready(s, q):
		out := is(p.Online, sess.Preview, nextFor(s, q.Product, q.Operator))
		out.Warnings = unparkWarnings(s, sess)
		return out
	case q.Verb == abt2.VerbPark:
		if sess = parkedAlready(s, q); sess != nil {
			return is(p.Online, sess.Preview, nextFor(s, q.Product, q.Operator))
		}
	}
	return nil
}

// confirmAgain answers a switch that was done before as the switch itself does:
// with who has confirmed it. A server that was started since may be asked before
// its edges have joined again.
func (e *Engine) confirmAgain(ctx context.Context, r *run, out abt2.Outcome) (abt2.Outcome, error) {
	if r.request.Verb != abt2.VerbCommit && r.request.Verb != abt2.VerbRollback {
		return out, nil
	}
	mark, err := e.publish(ctx)
	if err != nil {
		return out, err
	}
	ack, cancel := context.WithTimeout(ctx, r.request.AckTimeout)
	defer cancel()
	c := e.confirm(ack, mark, isStamper, func(missing []string) {
		r.report("", "await", "waiting for %s", few(missing))
	})
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	out.Unconfirmed = c.missing()
	return out, nil
}

// checkVerb refuses what only the engine can know.
func (e *Engine) checkVerb(s *abt2.State, q abt2.VerbRequest) error {
	p := s.Products[q.Product]
	var target abt2.EnvironmentID
	switch q.Verb {
	case abt2.VerbCommit:
		target = s.Session(q.Product).Preview
		if q.Share != 0 {
			if err := e.able(abt2.AbilityShare); err != nil {
				return err
			}
		}
	case abt2.VerbRollback:
		if p.Backup == 0 {
			return nil // of a share: most users are where it leads
		}
		target = p.Backup
		if len(s.Environments[target].Modules) == 0 && !q.Yes {
			return abt2.Errorf(abt2.CodeConfirm, "this was the first release: rollback goes back to the empty environment and users see 503; to do it: abt2 rollback --op=%s --yes", q.Operator)
		}
	case abt2.VerbScale:
		return s.Clone().SetScale(q.Product, abt2.Actor{Operator: q.Operator, Takeover: q.Takeover}, q.Scale)
	case abt2.VerbInstanceStart, abt2.VerbInstanceStop, abt2.VerbInstanceRestart:
		_, err := e.chosen(s, q)
		return err
	default:
		return nil
	}
	running := e.running(false)
	for _, m := range s.Environments[target].ModuleNames() {
		v := s.Environments[target].Modules[m]
		if s.Versions[v].Config.Kind != abt2.KindJob && healthy(running, v) == 0 {
			if s.Versions[v].External() {
				return abt2.Errorf(abt2.CodeRefused, "%s answers at none of its addresses, so users would be answered 503; look: abt2 status; start it where it runs", v)
			}
			if stopped := s.Stopped(v); len(stopped) > 0 {
				return abt2.Errorf(abt2.CodeRefused, "%s has no healthy instance, so users would be answered 503; %s was stopped by %s: abt2 instance start %s --op=%s", v, stopped[0].ID, stopped[0].Operator, stopped[0].ID, q.Operator)
			}
			return abt2.Errorf(abt2.CodeRefused, "%s has no healthy instance, so users would be answered 503; look: abt2 logs %s; bring it back: abt2 refresh --op=%s", v, v, q.Operator)
		}
	}
	return nil
}
