package drill

import (
	"context"
	"time"

	"abt2.dev"
)

// patience is for a server that is away: how long a drill keeps asking at
// intervals that grow from first to longest. Nobody tells that it is back.
const (
	patience       = 2 * time.Minute
	firstInterval  = 20 * time.Millisecond
	slowerInterval = 500 * time.Millisecond
)

// persist calls ask until the server answers, whatever it answers, and returns
// how often it had to be repeated.
func persist(ctx context.Context, ask func() error) (repeated int, err error) {
	limit := time.Now().Add(patience)
	interval := firstInterval
	for {
		err = ask()
		if abt2.CodeOf(err) != abt2.CodeUnavailable || time.Now().After(limit) || !sleep(ctx, interval) {
			return repeated, err
		}
		repeated++
		interval = min(2*interval, slowerInterval)
	}
}

// sleep returns false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// run does a verb, and repeats it while the server is away.
func (d *Drill) run(ctx context.Context, verb abt2.Verb) (o abt2.Outcome, repeated int, err error) {
	r := abt2.VerbRequest{By: d.request.By, Verb: verb, Product: d.request.Product, AckTimeout: d.request.AckTimeout}
	repeated, err = persist(ctx, func() (err error) {
		o, err = d.service.Run(ctx, r, func(abt2.Progress) {})
		return err
	})
	return o, repeated, err
}

// status asks how the product stands, again and again while the server is away.
func (d *Drill) status(ctx context.Context) (s abt2.Status, err error) {
	_, err = persist(ctx, func() (err error) {
		s, err = d.service.Status(ctx, d.request.Product)
		return err
	})
	return s, err
}

// goBack makes the environment online that was found, whatever has become of
// the verb that was sent last. It tries until ctx ends, or it cannot be done.
func (d *Drill) goBack(ctx context.Context, sc scene) error {
	for {
		s, err := d.status(ctx)
		if err != nil {
			return err
		}
		verb := sc.back
		switch {
		case s.Running != nil && s.Running.Verb == abt2.VerbRollback:
			verb = abt2.VerbRollback // attach: it cannot be superseded
		case s.Running != nil && s.Running.Verb != abt2.VerbCommit:
			return abt2.Errorf(abt2.CodeRefused, "%s by %s is at work", s.Running.Verb, s.Running.Operator)
		case s.Running == nil && s.Online != nil && s.Online.ID == sc.found.ID:
			return nil
		}
		if _, _, err := d.run(ctx, verb); err != nil && abt2.CodeOf(err) != abt2.CodeUnconfirmed && abt2.CodeOf(err) != abt2.CodeCommitted {
			return err
		}
	}
}
