package drill

import (
	"context"
	"fmt"
	"sync"
	"time"

	"abt2.dev"
)

// performance is a drill at work. It belongs to one goroutine, but for the
// tally, and for what it tells.
type performance struct {
	load     *load
	tally    *tally
	counters *counters
	trouble  trouble
	switches abt2.DrillSwitches

	request  abt2.DrillRequest
	telling  sync.Mutex
	progress func(abt2.DrillProgress)
}

const (
	maxAborts = 20              // of one switch, until the drill gives up
	lastLook  = 5 * time.Second // for the server to tell how things stand in the end
)

// Run drills, goes back to the environment it found, and reports. With an error
// the report tells how far it came. When ctx ends, the drill stops early and
// still goes back. progress is called from one goroutine at a time.
func (d *Drill) Run(ctx context.Context, progress func(abt2.DrillProgress)) (abt2.DrillReport, error) {
	var zero abt2.DrillReport
	s, err := d.status(ctx)
	if err != nil {
		return zero, err
	}
	a := newAsker(d.request, d.scene.edges, d.scene.judge())
	defer a.close()
	p := &performance{tally: newTally(), counters: from(s.Routers), request: d.request, progress: progress}
	leave, cancel := d.untilHurry(ctx)
	defer cancel()
	p.load = startLoad(d.request.Rate, d.request.InFlight, func(slot int64, due time.Duration, now func() time.Duration) {
		p.tally.add(a.ask(leave, slot, due, now))
	})
	showing, shown := context.WithCancel(context.Background())
	var display sync.WaitGroup
	display.Go(func() { p.show(showing) })

	err = d.perform(ctx, p)
	if err == nil {
		err = d.wayBack(ctx, p)
	}
	report := p.report(d.scene)
	if err == nil {
		report.Load.Unsent = int(p.load.finish(ctx, d.request.Requests))
		report.Stopped = ctx.Err() != nil
	} else {
		report.Load.Unsent = int(p.load.abandon())
		report.Stopped = true
	}
	report.Took = p.load.now()
	shown()
	display.Wait()

	if report.Stopped {
		p.tell(fmt.Sprintf("stopped; making sure that environment %s is online, as it was (Ctrl-C again: leave at once)", d.scene.found.ID))
	}
	backErr := d.goBack(leave, d.scene)
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancelLast()
	if s, err := d.service.Status(last, d.request.Product); err == nil {
		p.counters.add(s.Routers)
		report.Online = s.Online.ID
	}
	p.complete(&report)
	switch {
	case backErr != nil:
		return report, d.notBack(report, backErr)
	case ctx.Err() != nil:
		return report, nil // Stopped tells it
	}
	return report, err
}

// untilHurry is a context that outlives ctx and ends with the second Ctrl-C.
func (d *Drill) untilHurry(ctx context.Context) (context.Context, context.CancelFunc) {
	leave, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-d.hurry:
			cancel()
		case <-leave.Done():
		}
	}()
	return leave, func() { cancel(); <-ended }
}

// notBack says in what state things were left.
func (d *Drill) notBack(r abt2.DrillReport, cause error) error {
	op := " --op=" + d.request.Operator
	if d.request.Product != abt2.DefaultProduct {
		op += " --product=" + string(d.request.Product)
	}
	online := "it is not known which environment is online"
	if r.Online != 0 {
		online = fmt.Sprintf("environment %s is online", r.Online)
	}
	return abt2.Wrap(abt2.CodeFailed, cause, "%s, and environment %s was when the drill began; look: abt2 status; to go back: abt2 %s%s", online, d.scene.found.ID, d.scene.back, op)
}

// perform makes the switches, spread over the time that the load takes.
func (d *Drill) perform(ctx context.Context, p *performance) error {
	r := d.request
	blows := plan(r)
	total := time.Duration(float64(r.Requests) / float64(r.Rate) * float64(time.Second))
	gap := total / time.Duration(r.Switches+1)
	for i := range r.Switches {
		at := max(time.Duration(i+1)*gap, p.load.now()+gap/2)
		verb, from := d.scene.away, d.scene.found.ID
		if i%2 == 1 {
			verb, from = d.scene.back, d.scene.other.ID
		}
		b, struck := blows[i]
		if !sleep(ctx, at+min(b.offset, 0)-p.load.now()) {
			return context.Cause(ctx)
		}
		var fault sync.WaitGroup
		if struck {
			fault.Go(func() {
				if sleep(ctx, at+b.offset-p.load.now()) {
					d.strike(ctx, p, b)
				}
			})
		}
		err := context.Cause(ctx)
		if sleep(ctx, at-p.load.now()) {
			err = d.turn(ctx, p, verb, from, fault.Wait)
		}
		fault.Wait()
		if err != nil {
			return err
		}
		if s, err := d.status(ctx); err == nil {
			p.counters.add(s.Routers)
			p.trouble.linger(s, p.load.now())
		}
	}
	return nil
}

// wayBack ends in the environment that was found, where the switches did not.
func (d *Drill) wayBack(ctx context.Context, p *performance) error {
	if d.request.Switches%2 == 0 {
		return nil
	}
	return d.turn(ctx, p, d.scene.back, d.scene.other.ID, func() {})
}

// turn switches once, however often it must be tried. struck returns when the
// fault that belongs to the switch, if any, has been made.
func (d *Drill) turn(ctx context.Context, p *performance, verb abt2.Verb, from abt2.EnvironmentID, struck func()) error {
	var began time.Duration // from here on a fault belongs to this switch
	if n := len(p.tally.turns); n > 0 {
		began = p.tally.turns[n-1].ended
	}
	for aborts := 0; ; aborts++ {
		u := &turn{verb: verb, from: from, sent: p.load.now()}
		p.tally.begin(u)
		o, repeated, err := d.run(ctx, verb)
		ended := p.load.now()
		p.switches.Repeated += repeated
		struck()
		code := abt2.CodeOf(err)
		p.tally.end(u, func(u *turn) {
			u.outcome, u.ended, u.confirmed = o, ended, ended-o.Settled
			u.switched = err == nil || code == abt2.CodeCommitted
			u.disturbed = repeated > 0 || aborts > 0 || p.trouble.touched(span{began, ended})
		})
		switch {
		case u.switched:
			p.switched(verb, o)
			return nil
		case code != abt2.CodeUnconfirmed || aborts >= maxAborts:
			return err
		}
		p.aborted(o)
	}
}

func (p *performance) switched(verb abt2.Verb, o abt2.Outcome) {
	p.telling.Lock()
	defer p.telling.Unlock()
	if verb == abt2.VerbCommit {
		p.switches.Commits++
	} else {
		p.switches.Rollbacks++
	}
	p.switches.Unconfirmed += len(o.Unconfirmed)
}

func (p *performance) aborted(o abt2.Outcome) {
	p.switches.Aborted++
	if p.switches.Laggards == nil {
		p.switches.Laggards = map[string]int{}
	}
	for _, l := range o.Unconfirmed {
		p.switches.Laggards[laggard(l)]++
	}
	p.tell("commit aborted, nothing has changed; not confirmed by " + join(o.Unconfirmed))
}

// showEvery is how often a drill tells how far it is.
const showEvery = 200 * time.Millisecond

func (p *performance) show(ctx context.Context) {
	for sleep(ctx, showEvery) {
		p.tell("")
	}
}

func (p *performance) tell(text string) {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.progress(abt2.DrillProgress{
		Requests: p.tally.progress(), OfRequests: p.request.Requests,
		Switches: p.switches.Commits + p.switches.Rollbacks, OfSwitches: p.request.Switches, Text: text,
	})
}
